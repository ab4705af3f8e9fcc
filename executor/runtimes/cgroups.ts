import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { PodLimits } from '../runtime.ts';

const root = '/sys/fs/cgroup';
const period = 100_000;
const mostShares = 262_144;

/**
 * The cgroup this process is in, so that pods can be put below it and what Mesos limits stays limited; `/` where there is
 * none. In cgroup v2 a group with processes of its own can limit nothing below it: Mesos puts them into a `leaf` beside us.
 */
export function ownCgroup(text = readFileSync('/proc/self/cgroup', 'utf8')): string {
  const lines = text.trim().split('\n');
  const paths = new Map(lines.map((line) => [line.split(':')[1] ?? '', line.split(':').slice(2).join(':')]));
  for (const [controllers, path] of paths)
    if (controllers.split(',').some((c) => c === 'memory' || c === 'cpu') && path !== '/') return path;
  const unified = paths.get('') || '/';
  return basename(unified) === 'leaf' ? dirname(unified) : unified;
}

/** Where a cgroup is seen: in v1 by the controller that all have who limit anything. */
export const cgroupAt = (path: string, at = root): string => join(isUnified(at) ? at : hierarchy(at, 'cpu'), path);

const isUnified = (at: string): boolean => existsSync(join(at, 'cgroup.controllers'));

/** Makes a cgroup where it is not there, and its limits what they should be. `path` is below `at`, where cgroups are mounted. */
export function setCgroup(path: string, limits: PodLimits, at = root): void {
  const { cpuShares, cpuQuotaMillicores, memoryLimitBytes, pids } = limits;
  const quota = cpuQuotaMillicores === undefined ? undefined : Math.max(1000, (cpuQuotaMillicores * period) / 1000);
  if (isUnified(at)) {
    const group = makeUnified(path, at);
    write(group, 'cpu.weight', weightOf(cpuShares));
    write(group, 'cpu.max', `${quota ?? 'max'} ${period}`);
    write(group, 'memory.max', memoryLimitBytes ?? 'max');
    if (pids !== undefined) write(group, 'pids.max', pids);
    return;
  }
  const [cpu, memory] = [join(hierarchy(at, 'cpu'), path), join(hierarchy(at, 'memory'), path)];
  for (const group of [cpu, memory]) mkdirSync(group, { recursive: true });
  write(cpu, 'cpu.shares', cpuShares);
  write(cpu, 'cpu.cfs_period_us', period);
  write(cpu, 'cpu.cfs_quota_us', quota ?? -1);
  write(memory, 'memory.limit_in_bytes', memoryLimitBytes ?? -1);
  if (pids === undefined) return;
  const processes = join(hierarchy(at, 'pids'), path);
  mkdirSync(processes, { recursive: true });
  write(processes, 'pids.max', pids);
}

/** Undefined where there is no such cgroup. */
export function cpuSharesOf(path: string, at = root): number | undefined {
  const file = join(cgroupAt(path, at), isUnified(at) ? 'cpu.weight' : 'cpu.shares');
  if (!existsSync(file)) return undefined;
  const value = Number(readFileSync(file, 'utf8'));
  return isUnified(at) ? sharesOf(value) : value;
}

/** Processes and threads in one and below it; 0 where there is none. */
export function pidCount(path: string, at = root): number {
  const file = join(isUnified(at) ? at : hierarchy(at, 'pids'), path, 'pids.current');
  return existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
}

/** What those right below one have together. */
export function sharesBelow(path: string, at = root): number {
  const groups = readdirSync(cgroupAt(path, at), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const sum = groups.reduce((total, { name }) => total + (cpuSharesOf(join(path, name), at) ?? 0), 0);
  return Math.min(mostShares, sum);
}

/** The processes of each cgroup right below one, by its name: none where there is no such cgroup. */
export function processesBelow(path: string, at = root): Map<string, number[]> {
  const group = existsSync(at) ? cgroupAt(path, at) : at;
  if (!existsSync(group)) return new Map();
  const below = readdirSync(group, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const pidsOf = (name: string) =>
    readIfThere(join(group, name, 'cgroup.procs'))
      .split('\n')
      .filter(Boolean)
      .map(Number);
  return new Map(below.map(({ name }) => [name, pidsOf(name)]));
}

/** How often a cgroup's quota of processor time was up. */
export interface Throttling {
  periods: number;
  throttledPeriods: number;
  throttledNanos: number;
}

export function throttlingOf(path: string, at = root): Throttling {
  const text = readIfThere(join(cgroupAt(path, at), 'cpu.stat'));
  const number = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  return {
    periods: number('nr_periods'),
    throttledPeriods: number('nr_throttled'),
    throttledNanos: number('throttled_time') || number('throttled_usec') * 1000,
  };
}

/** Runtimes leave the parent they were given; it is empty once its sandbox is gone, in every hierarchy. */
export function removeCgroup(path: string, at = root): void {
  if (!existsSync(at)) return;
  const hierarchies = isUnified(at) ? [at] : readdirSync(at).map((directory) => join(at, directory));
  for (const one of hierarchies) removeEmpty(join(one, path));
}

/** Every group on the way must hand its controllers down. */
function makeUnified(path: string, at: string): string {
  let group = at;
  for (const part of path.split('/').filter(Boolean)) {
    for (const controller of ['cpu', 'memory', 'pids', 'io', 'cpuset']) handDown(group, controller);
    group = join(group, part);
    mkdirSync(group, { recursive: true });
  }
  return group;
}

/** One that the group above does not hand down, or that is in use here by processes, cannot be had below either. */
function handDown(group: string, controller: string): void {
  try {
    write(group, 'cgroup.subtree_control', `+${controller}`);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!['ENOENT', 'EBUSY', 'EOPNOTSUPP', 'EINVAL', 'ENOTSUP'].includes(code)) throw error;
  }
}

/** Controllers may be mounted together: `cpu,cpuacct`. */
function hierarchy(at: string, controller: string): string {
  const plain = join(at, controller);
  if (existsSync(plain)) return plain;
  const found = readdirSync(at).find((name) => name.split(',').includes(controller));
  if (found === undefined) throw new Error(`this machine has no cgroup controller "${controller}" at ${at}`);
  return join(at, found);
}

/** Empty for a cgroup that has gone meanwhile, or that has only threads. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENODEV', 'EOPNOTSUPP', 'ENOTSUP'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}

const write = (group: string, file: string, value: string | number): void =>
  writeFileSync(join(group, file), String(value));

/** As runtimes convert between the two: 2 … 262144 shares are 1 … 10000 of weight. */
export const weightOf = (shares: number): number => 1 + Math.floor(((shares - 2) * 9999) / (mostShares - 2));
const sharesOf = (weight: number): number => 2 + Math.ceil(((weight - 1) * (mostShares - 2)) / 9999);

function removeEmpty(path: string): void {
  try {
    for (const entry of readdirSync(path, { withFileTypes: true }))
      if (entry.isDirectory()) removeEmpty(join(path, entry.name));
    rmdirSync(path);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    // Not there, or not empty yet: whoever looks for stragglers tries again.
    if (!['ENOENT', 'EBUSY', 'ENOTEMPTY', 'EROFS', 'ENOTDIR'].includes(code)) throw error;
  }
}
