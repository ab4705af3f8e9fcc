import type { Probe } from '../../api/kinds/pod.ts';
import { delay } from '../../lib/delay.ts';
import type { Check } from './check.ts';
import { type Result, type Tally, tallied } from './tally.ts';

export interface ProberOptions {
  probe: Probe;
  /** When the container started, ms since the epoch. */
  startedAt: number;
  /** What holds until the probe has said otherwise. */
  initial: Result | undefined;
  /** May it be asked already? Liveness and readiness wait for the startup probe. */
  isDue(): boolean;
  check(signal: AbortSignal): Promise<Check>;
  answered(check: Check): void;
  /** The container could not be asked: nothing changes. */
  failed(error: Error): void;
  turned(result: Result): void;
}

/** Asks one container one thing, again and again until it is closed. */
export class Prober {
  readonly #options: ProberOptions;
  readonly #closing = new AbortController();
  #tally: Tally;

  constructor(options: ProberOptions) {
    this.#options = options;
    this.#tally = { result: options.initial, last: options.initial, run: 0 };
    void this.#run().catch(() => undefined); // only the end of the wait, when it is closed
  }

  get result(): Result | undefined {
    return this.#tally.result;
  }

  get probe(): Probe {
    return this.#options.probe;
  }

  close(): void {
    this.#closing.abort(new Error('the probe is over'));
  }

  async #run(): Promise<void> {
    const { probe, startedAt, isDue } = this.#options;
    const { signal } = this.#closing;
    const period = (probe.periodSeconds ?? 10) * 1000;
    const initial = (probe.initialDelaySeconds ?? 0) * 1000;
    // The start is a time of the clock, which may have been put back since; the rest is measured without it.
    await delay(Math.max(0, Math.min(initial, startedAt + initial - Date.now())), signal);
    while (!signal.aborted) {
      const began = performance.now();
      if (isDue()) await this.#ask(signal);
      // What waits for the startup probe follows it soon.
      await delay(isDue() ? Math.max(10, began + period - performance.now()) : Math.min(period, 100), signal);
    }
  }

  async #ask(signal: AbortSignal): Promise<void> {
    const { probe, check, answered, failed, turned } = this.#options;
    try {
      const answer = await check(signal);
      if (signal.aborted) return;
      answered(answer);
      const before = this.#tally.result;
      this.#tally = tallied(this.#tally, answer.result, probe);
      if (this.#tally.result !== before) turned(this.#tally.result!);
    } catch (error) {
      if (!signal.aborted) failed(error as Error);
    }
  }
}
