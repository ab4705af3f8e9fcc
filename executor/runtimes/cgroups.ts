import { existsSync, readFileSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

const root = '/sys/fs/cgroup';

/** The cgroup this process is in, so that pods can be put below it and what Mesos limits stays limited; `/` where there is none. */
export function ownCgroup(text = readFileSync('/proc/self/cgroup', 'utf8')): string {
  const paths = new Map(text.split('\n').map((line) => [line.split(':')[1] ?? '', line.split(':').slice(2).join(':')]));
  for (const [controllers, path] of paths)
    if (controllers.split(',').some((c) => c === 'memory' || c === 'cpu') && path !== '/') return path;
  return paths.get('') || '/';
}

/** Runtimes leave the parent they were given; a pod's is empty once its sandbox is gone, in every hierarchy. */
export function removePodCgroup(path: string): void {
  if (!existsSync(root)) return;
  const hierarchies = existsSync(join(root, 'cgroup.controllers'))
    ? [root]
    : readdirSync(root).map((d) => join(root, d));
  for (const hierarchy of hierarchies) removeEmpty(join(hierarchy, path));
}

function removeEmpty(path: string): void {
  try {
    for (const entry of readdirSync(path, { withFileTypes: true }))
      if (entry.isDirectory()) removeEmpty(join(path, entry.name));
    rmdirSync(path);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    // Not there, or not empty yet: then it is tried again with the pod's next removal.
    if (!['ENOENT', 'EBUSY', 'ENOTEMPTY', 'EROFS', 'ENOTDIR'].includes(code)) throw error;
  }
}
