import { Backoff, type BackoffOptions } from '../../lib/backoff.ts';

/** When a key may be tried again after failures: each one makes the wait longer; a long silence forgets them. */
export class Retries {
  readonly #options: BackoffOptions;
  readonly #now: () => number;
  readonly #entries = new Map<string, { backoff: Backoff; until: number }>();

  constructor(options: BackoffOptions, now: () => number) {
    this.#options = options;
    this.#now = now;
  }

  /** Milliseconds that are still to be waited; 0 means now. */
  wait(key: string): number {
    return Math.max(0, (this.#entries.get(key)?.until ?? 0) - this.#now());
  }

  failed(key: string): void {
    for (const [old, { until }] of this.#entries)
      if (this.#now() - until > 2 * this.#options.max) this.#entries.delete(old);
    const entry = this.#entries.get(key) ?? { backoff: new Backoff(this.#options), until: 0 };
    entry.until = this.#now() + entry.backoff.next();
    this.#entries.set(key, entry);
  }
}
