import { delay } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import { MesosError } from '../mesos/errors.ts';
import type { OperatorOptions } from '../mesos/operator.ts';
import type { Leader, MasterOptions } from '../mesos/subscription.ts';

export interface PollParts {
  leader: Leader;
  masters: MasterOptions;
  /** Milliseconds from one question to the next. */
  interval: number;
  /** Asks the operator API of the leading master, and passes on what it says. */
  ask: (master: OperatorOptions) => Promise<void>;
  log: Logger;
  signal: AbortSignal;
}

/** Asks the master at once, now and then, and when there is a reason to. Where that is forbidden nothing is told. */
export class Poll {
  readonly #parts: PollParts;
  #wanted = Promise.withResolvers<void>();

  constructor(parts: PollParts) {
    this.#parts = parts;
    void this.#run();
  }

  /** There is something new to be heard. */
  soon(): void {
    this.#wanted.resolve();
  }

  async #run(): Promise<void> {
    const { leader, masters, interval, ask, signal, log } = this.#parts;
    const { credentials, tls } = masters;
    while (!signal.aborted) {
      this.#wanted = Promise.withResolvers();
      try {
        await ask({ url: await leader.url(signal), credentials, tls, signal });
      } catch (err) {
        const isForbidden = err instanceof MesosError && (err.code === 'forbidden' || err.code === 'unauthorized');
        if (!signal.aborted && !isForbidden) log.warn({ err }, 'could not ask the Mesos master; asking again later');
      }
      await Promise.race([delay(interval, signal).catch(() => undefined), this.#wanted.promise]);
    }
  }
}
