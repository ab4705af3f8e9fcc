import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Logger } from '../lib/log.ts';
import { type Options, type Values, flagName, readOptions } from '../lib/options.ts';
import { watchFiles } from '../lib/watch-files.ts';

/**
 * Settings in a file that may change while we run, in YAML by the names of their flags:
 *
 *   offer-linger: 1s
 *   namespace-roles: [analytics=science]
 *
 * `rows` are those that may stand there; what does not has their defaults. Throws an Error that names the file and what is wrong.
 */
export function readSettings<O extends Options>(path: string, rows: O): Values<O> {
  try {
    const given: unknown = parse(readFileSync(path, 'utf8')) ?? {};
    if (typeof given !== 'object' || given === null || Array.isArray(given))
      throw new Error('expected settings by their names, such as "offer-linger: 1s"');
    const known = Object.keys(rows).map((key) => flagName(key).slice(2));
    const flags = Object.entries(given).map(([name, value]: [string, unknown]) => {
      if (!known.includes(name)) throw new Error(`${name} does not stand here; what may: ${known.join(', ')}`);
      return `--${name}=${Array.isArray(value) ? value.join(',') : String(value)}`;
    });
    return readOptions(rows, flags);
  } catch (error) {
    throw new Error(`settings in ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** Applies the settings anew whenever the file changes; what cannot be used is told, and those of before stay. */
export function followSettings<O extends Options>(
  path: string,
  rows: O,
  apply: (settings: Values<O>) => void,
  { log, ...when }: { log: Logger; signal: AbortSignal; interval?: number },
): void {
  const changed = () => {
    try {
      apply(readSettings(path, rows));
      log.info({ file: path }, 'settings were read anew');
    } catch (err) {
      log.warn({ err, file: path }, 'changed settings cannot be used; going on with those of before');
    }
  };
  watchFiles([path], changed, when);
}
