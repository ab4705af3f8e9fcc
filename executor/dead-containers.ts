import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Runtime, RuntimeContainer, RuntimePod } from './runtime.ts';

/** Of each container its newest try and the one before it are kept: the one that runs, and the one `--previous` shows. */
export async function removeDead(runtime: Runtime, pod: RuntimePod): Promise<void> {
  for (const tries of Map.groupBy(pod.containers, ({ name }) => name).values()) {
    const old = [...tries].sort((a, b) => b.attempt - a.attempt).slice(2);
    for (const container of old) {
      if (container.state === 'running') continue;
      await runtime.remove(container.id);
      await removeLogs(container);
    }
  }
}

/** The log and what was rotated away from it. */
async function removeLogs({ logPath }: RuntimeContainer): Promise<void> {
  if (!logPath) return;
  const directory = dirname(logPath);
  const name = basename(logPath);
  const files = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  for (const file of files)
    if (file === name || file.startsWith(`${name}.`)) await rm(join(directory, file), { force: true });
}
