import { readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** What a kubelet keeps of a container's log unless told otherwise: bytes of the file that grows, and files before it. */
export const logLimits = { maxBytes: 10 * 1024 * 1024, keep: 4 } as const;

/** Sets a log aside as `<name>.<time>`, so that a new one can begin; the oldest beyond `keep` go. Answers where it is. */
export function setAside(path: string, keep: number): string {
  const aside = `${path}.${new Date().toISOString().replace(/[-:.]/g, '')}`;
  renameSync(path, aside);
  const directory = dirname(path);
  const old = readdirSync(directory)
    .filter((name) => name.startsWith(`${basename(path)}.`))
    .sort();
  for (const name of old.slice(0, Math.max(0, old.length - keep))) rmSync(join(directory, name), { force: true });
  return aside;
}
