import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Pod } from '../api/kinds/pod.ts';
import { logDirectory } from './sandbox.ts';

const run = promisify(execFile);

/** What a pod keeps on this machine's disk, bytes; what it keeps in memory is not on it. */
export interface DiskUse {
  /** Of emptyDirs, by name. */
  volumes: ReadonlyMap<string, number>;
  /** Logs and what it wrote beside its volumes, by container. */
  containers: ReadonlyMap<string, number>;
  /** With the files that are made for each pod, its /etc/hosts say. */
  total: number;
}

/** `layers` is what containers wrote beside their volumes, as far as the runtime tells. */
export async function podDisk(
  pod: Pod,
  place: { volumes: string; logs: string },
  layers: ReadonlyMap<string, number>,
): Promise<DiskUse> {
  const directory = join(place.volumes, pod.metadata.uid!);
  const inMemory = new Set((pod.spec.volumes ?? []).filter(({ emptyDir }) => emptyDir?.medium).map(({ name }) => name));
  const volumes = await sizesIn(join(directory, 'volumes', 'emptyDir'), (name) => !inMemory.has(name));
  const own = await sizesIn(directory, (name) => name !== 'volumes' && name !== 'subpaths');
  const containers = await sizesIn(logDirectory(pod, place.logs), () => true);
  for (const [name, bytes] of layers) containers.set(name, (containers.get(name) ?? 0) + bytes);
  const total = [volumes, own, containers]
    .flatMap((sizes) => [...sizes.values()])
    .reduce((sum, bytes) => sum + bytes, 0);
  return { volumes, containers, total };
}

async function sizesIn(directory: string, isWanted: (name: string) => boolean): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (const name of await readdir(directory).catch(() => []))
    if (isWanted(name)) sizes.set(name, await sizeOf(join(directory, name)));
  return sizes;
}

/** Blocks in use, on this filesystem only; 0 for what is gone. Files may vanish while it counts. */
async function sizeOf(path: string): Promise<number> {
  const { stdout } = await run('du', ['-skx', '--', path]).catch((error: { stdout?: string }) => ({
    stdout: error.stdout ?? '',
  }));
  return Number(/^\d+/.exec(stdout)?.[0] ?? 0) * 1024;
}
