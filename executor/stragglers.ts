import type { Logger } from '../lib/log.ts';

/** How often one looks, and for how long after a pod has ended, ms. */
const interval = 2_000;
const patience = 30_000;

/**
 * A runtime may go on with what was given up: the sandbox of a pod that was ended while it was being made, and the cgroup
 * around it, can come after all when the pod has long ended here. So one looks again for a while after each end.
 */
export class Stragglers {
  readonly #end: (uids: readonly string[]) => Promise<void>;
  readonly #log: Logger;
  /** Until when one looks for what is left of a pod, of performance.now(). */
  readonly #until = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  /** `end` ends what there is of pods that have ended before. */
  constructor(end: (uids: readonly string[]) => Promise<void>, log: Logger) {
    this.#end = end;
    this.#log = log;
  }

  ended(uid: string): void {
    this.#until.set(uid, performance.now() + patience);
    this.#timer ??= setInterval(() => void (this.#looking ??= this.#look()), interval);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  async #look(): Promise<void> {
    const now = performance.now();
    await this.#end([...this.#until.keys()]).catch((err: unknown) => {
      this.#log.warn({ err }, 'cannot look for what is left of ended pods; trying again');
    });
    for (const [uid, until] of this.#until) if (until < now) this.#until.delete(uid);
    if (this.#until.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    this.#looking = undefined;
  }
}
