import { unwatchFile, watchFile } from 'node:fs';

/** Milliseconds between two looks at the files. */
const every = 2000;

/**
 * Calls `changed` whenever one of the files is another one than before, until the signal aborts. It looks now and then: files that
 * are mounted or written by editors are replaced, and nobody tells of that.
 */
export function watchFiles(
  paths: readonly string[],
  changed: () => void,
  { signal, interval = every }: { signal: AbortSignal; interval?: number },
): void {
  for (const path of paths) watchFile(path, { interval, persistent: false }, changed);
  signal.addEventListener('abort', () => paths.forEach((path) => unwatchFile(path, changed)), { once: true });
}
