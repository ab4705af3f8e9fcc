import { statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setInterval } from 'node:timers/promises';
import type { BigIntStats } from 'node:fs';

/** Milliseconds between two looks at the files. */
const every = 2000;

/**
 * Calls `changed` whenever one of the files is another one than when this was called, until the signal aborts: once it
 * stays the same for two looks. It looks now and then: files that are mounted or written by editors are replaced, and nobody tells of that.
 */
export function watchFiles(
  paths: readonly string[],
  changed: () => void,
  { signal, interval = every }: { signal: AbortSignal; interval?: number },
): void {
  // Seen before this returns: the caller has read them, and a change from here on must not be missed.
  const first = paths.map((path) => stampOf(statSync(path, { bigint: true, throwIfNoEntry: false })));
  void look(paths, first.join(), changed, interval, signal);
}

async function look(
  paths: readonly string[],
  first: string,
  changed: () => void,
  interval: number,
  signal: AbortSignal,
): Promise<void> {
  let [known, before] = [first, first];
  try {
    for await (const _ of setInterval(interval, undefined, { ref: false, signal })) {
      const stamps = await Promise.all(paths.map((path) => stat(path, { bigint: true }).then(stampOf, () => missing)));
      const now = stamps.join();
      // Not while it is being written: half of it would be something else, and none of it all defaults.
      if (now === before && now !== known) {
        known = now;
        changed();
      }
      before = now;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

const missing = '';

const stampOf = (stats: BigIntStats | undefined): string =>
  stats ? [stats.dev, stats.ino, stats.size, stats.mtimeNs].join(':') : missing;
