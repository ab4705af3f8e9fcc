import { mkdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/**
 * Where everything of the pods is. Each run of an executor gets a sandbox of its own, but pods may outlive a run, so the
 * directory is beside the runs: `…/executors/<executor>/pods` where the sandbox is `…/executors/<executor>/runs/<run>`.
 * Mesos keeps that directory as long as the executor is used. Where it may not be written, the sandbox has to do.
 */
export function rootDirectory(wanted: string, sandbox: string): string {
  if (wanted) return made(wanted);
  if (!sandbox) throw new Error('there is no directory for pods: name one with --root-dir');
  const runs = dirname(sandbox);
  if (basename(runs) === 'runs') {
    try {
      return made(join(dirname(runs), 'pods'));
    } catch (error) {
      if (!['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
  return made(join(sandbox, 'pods'));
}

/** For the executor's user only: secrets of pods are in it. */
function made(directory: string): string {
  mkdirSync(directory, { recursive: true, mode: 0o711 });
  return directory;
}
