import { delay } from '../../lib/delay.ts';
import type { Logger } from '../../lib/log.ts';
import type { RuntimePod } from '../runtime.ts';

/** How often we look although no event told us to, ms. */
const lookEvery = 1_000;
/** Looks after the last event, ms: the runtime tells of an exit before CRI knows of it. */
const settling = [50, 250];
/** After a look it rests as long as that took, and no longer than this, ms: a burst of events would otherwise keep the runtime busy with answering. */
const longestRest = 250;

export interface ChangesOptions {
  /** The runtime's own events: each call of `listener` means that something changed. Until it tells `ended`. */
  events(listener: () => void, ended: (error: Error) => void): { cancel(): void };
  list(): Promise<RuntimePod[]>;
  log: Logger;
}

/** Tells which pods of a runtime have changed, by listing them when something tells to and every so often besides. */
export class Changes {
  readonly #options: ChangesOptions;
  readonly #closing = new AbortController();
  readonly #looking: NodeJS.Timeout;
  #seen = new Map<string, string>();
  #relisting: Promise<void> | undefined;
  #isListing = false;
  #again = false;
  /** So that an outage is told once. */
  #answers = true;
  #timers: NodeJS.Timeout[] = [];
  /** Of performance.now(). */
  #restsUntil = -Infinity;
  #listener: (podUid: string) => void = () => undefined;

  constructor(options: ChangesOptions) {
    this.#options = options;
    void this.#watch();
    this.#looking = setInterval(() => this.#relist(), lookEvery);
  }

  listen(listener: (podUid: string) => void): void {
    this.#listener = listener;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearInterval(this.#looking);
    this.#timers.forEach(clearTimeout);
    await this.#relisting;
  }

  /** Follows events: they make it quick. Looking on its own every second is what makes it sure. */
  async #watch(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const { promise: ended, resolve } = Promise.withResolvers<Error | undefined>();
      const events = this.#options.events(() => this.#told(), resolve);
      const stop = () => resolve(undefined);
      signal.addEventListener('abort', stop, { once: true });
      const err = await ended;
      signal.removeEventListener('abort', stop);
      events.cancel();
      if (err) this.#options.log.debug({ err }, 'no events from the container runtime');
      await delay(lookEvery, signal).catch(() => undefined);
    }
  }

  #told(): void {
    this.#relist();
    this.#timers.forEach(clearTimeout);
    this.#timers = settling.map((ms) => setTimeout(() => this.#relist(), ms));
  }

  /** One look at a time; what comes meanwhile causes one more. */
  #relist(): void {
    this.#again = true;
    if (!this.#isListing) this.#relisting = this.#relistAll();
  }

  async #relistAll(): Promise<void> {
    this.#isListing = true;
    try {
      while (this.#again && !this.#closing.signal.aborted) {
        const rest = this.#restsUntil - performance.now();
        if (rest > 0) await delay(rest, this.#closing.signal);
        this.#again = false;
        const started = performance.now();
        await this.#look();
        const ended = performance.now();
        this.#restsUntil = ended + Math.min(ended - started, longestRest);
      }
    } catch {
      // Closed while it waited.
    } finally {
      this.#isListing = false; // with the last look at #again: what comes after it starts anew
    }
  }

  async #look(): Promise<void> {
    try {
      const now = new Map((await this.#options.list()).map((pod) => [pod.uid, fingerprint(pod)]));
      const before = this.#seen;
      this.#seen = now;
      this.#answers = true;
      for (const uid of new Set([...before.keys(), ...now.keys()]))
        if (before.get(uid) !== now.get(uid)) this.#listener(uid);
    } catch (err) {
      if (this.#closing.signal.aborted) return;
      this.#options.log[this.#answers ? 'warn' : 'debug']({ err }, 'cannot list the pods of the container runtime');
      this.#answers = false;
    }
  }
}

const fingerprint = (pod: RuntimePod): string =>
  [pod.sandbox.id, pod.sandbox.ready, ...pod.containers.map((c) => `${c.id}${c.state}`).sort()].join();
