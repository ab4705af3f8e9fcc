import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { promisify } from 'node:util';
import { delay } from '../../lib/delay.ts';
import type { PodLimits } from '../runtime.ts';
import { cgroupAt, weightOf } from './cgroups.ts';

const run = promisify(execFile);
const suffix = '.slice';
/** For systemd: without a limit. */
const infinity = 2n ** 64n - 1n;
/** systemd keeps whole percents of a processor, so anything less than one is made one; microseconds of a second. */
const percent = 10_000;
/** How long systemd may take for a call, and until it has done what it was asked for, ms. */
const patience = 30_000;

/** Cgroups that systemd manages are slices. A runtime with the cgroup driver `systemd` takes no other parent. */
export const isSlice = (cgroup: string): boolean => cgroup.endsWith(suffix);

/**
 * The path of the slice with this name below another; its name says where it lies:
 *
 *   /km.slice, [burstable, pod1-2]  →  /km.slice/km-burstable.slice/km-burstable-pod1_2.slice
 */
export function sliceBelow(parent: string, names: readonly string[]): string {
  const above = basename(parent, suffix).split('-');
  const parts = [...above, ...names.filter(Boolean).map((name) => name.replaceAll('-', '_'))];
  return `/${parts.map((_, i) => parts.slice(0, i + 1).join('-') + suffix).join('/')}`;
}

/** Makes a slice where it is not there, and its limits what they should be. */
export async function setSlice(path: string, limits: PodLimits): Promise<void> {
  const name = basename(path);
  const properties = propertiesOf(limits);
  try {
    await manager('StartTransientUnit', 'ssa(sv)a(sa(sv))', [name, 'fail', ...counted([...made, ...properties]), '0']);
  } catch (error) {
    if (!/already (loaded|exists)/.test(String(error))) throw error;
    await manager('SetUnitProperties', 'sba(sv)', [name, 'true', ...counted(properties)]);
  }
  await until(() => existsSync(cgroupAt(path)), `systemd did not make ${path}`);
}

/** With all that runs in it. Absent is fine. */
export async function removeSlice(path: string): Promise<void> {
  if (!existsSync(cgroupAt(path))) return;
  await manager('StopUnit', 'ss', [basename(path), 'replace']);
  await until(() => !existsSync(cgroupAt(path)), `systemd did not end ${path}`);
}

type Property = readonly [name: string, type: string, value: string];

/** What a slice is made with: systemd gives it no controllers but those it counts for. */
const made: readonly Property[] = [
  ['Description', 's', 'pods of km'],
  ...['CPUAccounting', 'MemoryAccounting', 'TasksAccounting'].map((name): Property => [name, 'b', 'true']),
];

/** https://www.freedesktop.org/software/systemd/man/latest/systemd.resource-control.html; on cgroup v1 systemd translates them. */
export function propertiesOf({ cpuShares, cpuQuotaMillicores, memoryLimitBytes, pids }: PodLimits): Property[] {
  const quota =
    cpuQuotaMillicores === undefined ? infinity : Math.ceil((cpuQuotaMillicores * 1000) / percent) * percent;
  return [
    ['CPUWeight', 't', String(weightOf(cpuShares))],
    ['CPUQuotaPerSecUSec', 't', String(quota)],
    ['MemoryMax', 't', String(memoryLimitBytes ?? infinity)],
    ...(pids === undefined ? [] : [['TasksMax', 't', String(pids)] satisfies Property]),
  ];
}

const counted = (properties: readonly Property[]): string[] => [String(properties.length), ...properties.flat()];

/** systemd cannot be asked from here (a container without its bus, say), or may not be. */
export class SystemdRefused extends Error {}

/** Through busctl, which is there wherever systemd is. Rejects with what systemd said. */
async function manager(method: string, signature: string, args: readonly string[]): Promise<void> {
  const service = ['org.freedesktop.systemd1', '/org/freedesktop/systemd1', 'org.freedesktop.systemd1.Manager'];
  try {
    await run('busctl', ['call', ...service, method, signature, ...args], { timeout: patience });
  } catch (error) {
    const words = wordsOf(error);
    const Refusal = isMissing(error) || refusals.test(words) ? SystemdRefused : Error;
    throw new Refusal(`systemd did not take ${method} of ${args[0] ?? ''}: ${words}`, { cause: error });
  }
}

/** Of busctl, before it has asked and after. */
const refusals = /Failed to .*\bbus\b|Access denied|authentication required/i;

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';

function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (isMissing(error)) return 'there is no busctl here';
  return 'stderr' in error && typeof error.stderr === 'string' && error.stderr ? error.stderr.trim() : error.message;
}

/** systemd answers when it has queued a job, not when that is done. */
async function until(done: () => boolean, otherwise: string): Promise<void> {
  const end = performance.now() + patience;
  while (!done()) {
    if (performance.now() > end) throw new Error(`${otherwise} within ${patience / 1000} s`);
    await delay(10);
  }
}
