import { Backoff, type BackoffOptions } from '../lib/backoff.ts';

/** Is told what becomes of keys: each is added, taken and done, and perhaps added again. */
export interface QueueWatcher {
  added(key: string): void;
  taken(key: string): void;
  done(key: string): void;
  retried(key: string): void;
}

/**
 * Keys that want work, each worked on by one at a time.
 *
 *   add ──▶ waiting ──take──▶ processing ──done──▶ (added meanwhile? waiting again)
 *
 * A key added twice before it is taken is taken once; added while it is worked on, it comes again afterwards.
 * Keys are taken in the order in which they came.
 */
export class WorkQueue {
  readonly #waiting = new Set<string>();
  readonly #processing = new Set<string>();
  readonly #again = new Set<string>();
  readonly #timers = new Map<string, { timer: NodeJS.Timeout; at: number }>();
  readonly #backoffs = new Map<string, Backoff>();
  readonly #backoff: BackoffOptions;
  readonly #takers: ((key: string | undefined) => void)[] = [];
  readonly #watcher: QueueWatcher | undefined;
  #closed = false;

  constructor(backoff: BackoffOptions = { first: 10, max: 60_000 }, watcher?: QueueWatcher) {
    this.#backoff = backoff;
    this.#watcher = watcher;
  }

  get depth(): number {
    return this.#waiting.size;
  }

  add(key: string): void {
    if (this.#closed) return;
    if (this.#waiting.has(key) || this.#again.has(key)) return;
    this.#watcher?.added(key);
    if (this.#processing.has(key)) {
      this.#again.add(key);
      return;
    }
    this.#offer(key);
  }

  #offer(key: string): void {
    const taker = this.#takers.shift();
    if (!taker) {
      this.#waiting.add(key);
      return;
    }
    this.#start(key);
    taker(key);
  }

  #start(key: string): void {
    this.#processing.add(key);
    this.#watcher?.taken(key);
  }

  /** Adds the key after `ms`; of several waits for one key the shortest counts. */
  addAfter(key: string, ms: number): void {
    if (this.#closed) return;
    const at = Date.now() + ms;
    const waiting = this.#timers.get(key);
    if (waiting && waiting.at <= at) return;
    clearTimeout(waiting?.timer);
    const timer = setTimeout(() => {
      this.#timers.delete(key);
      this.add(key);
    }, ms);
    this.#timers.set(key, { timer, at });
  }

  /** Adds the key after its own growing wait; answers that wait in milliseconds. `forget` resets it. */
  addRateLimited(key: string): number {
    let backoff = this.#backoffs.get(key);
    if (!backoff) this.#backoffs.set(key, (backoff = new Backoff(this.#backoff)));
    const wait = backoff.next();
    this.#watcher?.retried(key);
    this.addAfter(key, wait);
    return wait;
  }

  forget(key: string): void {
    this.#backoffs.delete(key);
  }

  /** The next key, or undefined when the queue is closed. Each taken key must be given back with `done`. */
  take(): Promise<string | undefined> {
    if (this.#closed) return Promise.resolve(undefined);
    for (const key of this.#waiting) {
      this.#waiting.delete(key);
      this.#start(key);
      return Promise.resolve(key);
    }
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  done(key: string): void {
    this.#processing.delete(key);
    this.#watcher?.done(key);
    if (this.#again.delete(key) && !this.#closed) this.#offer(key);
  }

  close(): void {
    this.#closed = true;
    for (const { timer } of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#waiting.clear();
    for (const taker of this.#takers.splice(0)) taker(undefined);
  }
}
