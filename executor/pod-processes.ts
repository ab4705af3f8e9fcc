import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Pod } from '../api/kinds/pod.ts';
import { podCgroup } from './pod-cgroups.ts';
import { processesBelow } from './runtimes/cgroups.ts';

/** What a network interface has carried since it was made. */
export interface InterfaceUse {
  name: string;
  received: Carried;
  transmitted: Carried;
}

export interface Carried {
  bytes: number;
  packets: number;
  errors: number;
  dropped: number;
}

/** What the kernel tells of a pod by its cgroup. */
export interface PodProcesses {
  /** Where containers have a cgroup each: of the pod. */
  cgroup: string;
  /** How many are in the cgroup of a container; undefined where it has none. */
  inContainer(id: string): { cgroup: string; count: number } | undefined;
  count: number;
  /** Of its own network: none of a pod that has the machine's. */
  interfaces: InterfaceUse[];
}

/** Undefined where pods have no cgroups, or this one none that is in use. */
export function processesOf(pod: Pod, cgroupParent: string): PodProcesses | undefined {
  if (!cgroupParent) return undefined;
  const cgroup = podCgroup(pod, cgroupParent);
  const groups = [...processesBelow(cgroup)];
  const pids = groups.flatMap(([, own]) => own);
  if (pids.length === 0) return undefined;
  return {
    cgroup,
    inContainer(id) {
      const group = groups.find(([name]) => name.includes(id)); // a scope of systemd has more in its name
      return group && { cgroup: join(cgroup, group[0]), count: group[1].length };
    },
    count: pids.length,
    interfaces: pod.spec.hostNetwork ? [] : interfacesOf(pids[0]!),
  };
}

/** Those that a process sees, but for the loopback; none when it has ended. */
export function interfacesOf(pid: number | 'self'): InterfaceUse[] {
  const lines = devicesOf(pid).split('\n').slice(2);
  return lines.flatMap((text) => {
    const [, name, numbers = ''] = /^\s*([^:]+):\s*(.*)$/.exec(text) ?? [];
    if (name === undefined || name === 'lo') return [];
    const counted = numbers.split(/\s+/).map(Number);
    return [{ name, received: carried(counted.slice(0, 4)), transmitted: carried(counted.slice(8, 12)) }];
  });
}

const carried = ([bytes = 0, packets = 0, errors = 0, dropped = 0]: number[]): Carried => ({
  ...{ bytes, packets, errors, dropped },
});

function devicesOf(pid: number | 'self'): string {
  try {
    return readFileSync(`/proc/${pid}/net/dev`, 'utf8');
  } catch (error) {
    if (['ENOENT', 'EINVAL', 'ESRCH', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}
