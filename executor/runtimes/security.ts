import { readFileSync } from 'node:fs';
import type { Pod } from '../../api/kinds/pod.ts';

/** What a container's security context means to every runtime that isolates. */

export const groupsOf = ({ spec: { securityContext: shared } }: Pod): number[] => [
  ...(shared?.supplementalGroups ?? []),
  ...(shared?.fsGroup === undefined ? [] : [shared.fsGroup]),
];

/** What Kubernetes hides of /proc and /sys unless a container is privileged. */
export const maskedPaths = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
];
export const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

/** Length of a slice of cpu time, µs, and how much of it so many thousandths of a core are: never less than the kernel takes. */
export const cpuPeriod = 100_000;
export const cpuQuota = (millicores: number): number => Math.max(1000, (millicores * cpuPeriod) / 1000);

/** Of /proc/self/status: CAP_SYS_RESOURCE. */
const resourceCapability = 24n;

/** Without that power no process can be given a lower OOM score than one's own. */
export function lowestOomScore(): number {
  const powers = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  const isFree = ((BigInt(`0x${powers}`) >> resourceCapability) & 1n) === 1n;
  return isFree ? -1000 : Number(readFileSync('/proc/self/oom_score_adj', 'utf8'));
}

/** As cgroups write them: read, write, make. */
export const devicePermissions = (readOnly: boolean): string => (readOnly ? 'rm' : 'rwm');
