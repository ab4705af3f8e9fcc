import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { cgroupAt, cpuSharesOf } from '../../executor/runtimes/cgroups.ts';

const root = '/sys/fs/cgroup';
const isUnified = cgroupAt('/') === `${root}/`;

/** The cgroup of a pod that has this container, from where cgroups are mounted: runtimes name it after the container, with words of their own around. */
export function podCgroupOf(containerId: string, below: string): string {
  const found = readdirSync(cgroupAt(below), { recursive: true, withFileTypes: true }).find(
    (entry) => entry.isDirectory() && entry.name.includes(containerId),
  );
  if (!found) throw new Error(`no cgroup below ${below} is that of container ${containerId}`);
  return found.parentPath.slice(cgroupAt('/').length - 1);
}

/** The cgroup of a container itself. */
export function containerCgroupOf(containerId: string, below: string): string {
  const pod = podCgroupOf(containerId, below);
  return join(pod, readdirSync(cgroupAt(pod)).find((name) => name.includes(containerId)) ?? '');
}

/** What the kernel limits a cgroup to, of either version of cgroups; what is not limited is left out. */
export function kernelLimits(path: string): { memory?: number; cpuQuota?: number; pids?: number; shares: number } {
  const [memory, cpuQuota, pids] = isUnified
    ? [read(path, 'memory.max'), read(path, 'cpu.max'), read(path, 'pids.max')]
    : [
        read(`/memory${path}`, 'memory.limit_in_bytes', root),
        read(`/cpu${path}`, 'cpu.cfs_quota_us', root),
        read(`/pids${path}`, 'pids.max', root),
      ];
  return {
    ...(memory === undefined ? {} : { memory }),
    ...(cpuQuota === undefined ? {} : { cpuQuota }),
    ...(pids === undefined ? {} : { pids }),
    shares: cpuSharesOf(path) ?? NaN,
  };
}

/** Undefined for `max`, -1, and the largest number of pages that version 1 has for no limit. */
function read(path: string, file: string, at?: string): number | undefined {
  const [word = ''] = text(join(at === undefined ? cgroupAt(path) : join(at, path), file)).split(' ');
  const value = Number(word);
  return word === 'max' || value < 0 || value > 2 ** 62 ? undefined : value;
}

/** Version 1 makes only what it was told to limit. */
function text(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 'max';
    throw error;
  }
}

/** Whether a cgroup has these shares; weights of version 2 are coarser, 1 … 10000 for 2 … 262144, and sums of them too. */
export const within = (shares: number, wanted: number): boolean =>
  isUnified ? shares <= wanted && shares > wanted - 3 * (262_142 / 9999) : shares === wanted;
