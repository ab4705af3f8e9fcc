import { StatusError } from '../api/status.ts';
import { Backoff } from '../lib/backoff.ts';
import { delay } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';

/** Not done: the apiserver refused for good, or we were stopped and know nothing. */
export type Persisted<T> = { done: true; value: T } | { done: false; stopped: boolean };

/** Tries until it is done, the apiserver refuses for good (logged here), or the signal says to stop. Never throws. */
export async function persist<T>(
  what: string,
  action: () => Promise<T>,
  { log, signal }: { log: Logger; signal: AbortSignal },
): Promise<Persisted<T>> {
  const backoff = new Backoff({ first: 100, max: 10_000 });
  while (!signal.aborted) {
    try {
      return { done: true, value: await action() };
    } catch (err) {
      if (signal.aborted) break;
      const forGood = err instanceof StatusError && err.code < 500 && err.code !== 429 && err.code !== 409;
      log.warn({ err }, forGood ? `could not ${what}` : `could not ${what}; trying again`);
      if (forGood) return { done: false, stopped: false };
      await delay(backoff.next(), signal).catch(() => undefined);
    }
  }
  return { done: false, stopped: true };
}
