import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Pod } from '../api/kinds/pod.ts';
import { logDirectory } from './sandbox.ts';

const run = promisify(execFile);

/** What a pod keeps on this machine's disk, bytes: its emptyDirs by name, and all of it with its logs. */
export async function podDisk(
  pod: Pod,
  place: { volumes: string; logs: string },
): Promise<{ volumes: Map<string, number>; total: number }> {
  const volumes = new Map<string, number>();
  const directory = join(place.volumes, pod.metadata.uid!, 'volumes', 'emptyDir');
  for (const name of await readdir(directory).catch(() => [])) volumes.set(name, await sizeOf(join(directory, name)));
  const logs = await sizeOf(logDirectory(pod, place.logs));
  return { volumes, total: [...volumes.values()].reduce((sum, bytes) => sum + bytes, logs) };
}

/** Blocks in use, on this filesystem only; 0 for what is gone. Files may vanish while it counts. */
async function sizeOf(path: string): Promise<number> {
  const { stdout } = await run('du', ['-skx', '--', path]).catch((error: { stdout?: string }) => ({
    stdout: error.stdout ?? '',
  }));
  return Number(/^\d+/.exec(stdout)?.[0] ?? 0) * 1024;
}
