import type { PriorityLevelConfiguration } from '../../api/kinds/priority-level-configuration.ts';
import { Queues } from './queues.ts';

/** A request that waits for a seat. */
interface Waiting {
  flow: string;
  start: () => void;
}

export type Refusal = 'concurrency-limit' | 'queue-full' | 'time-out' | 'cancelled';

/** All seats of the server, and those of them that levels lend each other. */
export class Seats {
  readonly levels = new Map<string, Level>();
  lendable = 0;
  lent = 0;

  /** Seats by the levels' shares of `total`. */
  configure(configurations: readonly Readonly<PriorityLevelConfiguration>[], total: number): void {
    const shares = configurations.reduce((sum, { spec }) => sum + (spec?.limited?.nominalConcurrencyShares ?? 0), 0);
    const names = new Set(configurations.map(({ metadata }) => metadata.name!));
    // Who waits at a level that is gone is let in when its turn comes.
    for (const [name, level] of this.levels)
      if (!names.has(name) && level.inUse + level.waiting === 0) this.levels.delete(name);
    for (const configuration of configurations) {
      const name = configuration.metadata.name!;
      const level = this.levels.get(name) ?? new Level(this, name);
      this.levels.set(name, level);
      const own = configuration.spec?.limited?.nominalConcurrencyShares ?? 0;
      level.configure(configuration, shares > 0 ? Math.ceil((total * own) / shares) : 0);
    }
    this.lendable = this.#sum((level) => level.nominal - level.guaranteed);
    this.lent = this.#sum(({ isExempt, inUse, guaranteed }) => (isExempt ? 0 : Math.max(0, inUse - guaranteed)));
    this.fill();
  }

  /** Gives free seats to those who wait, first at levels that have fewer than is their due. */
  fill(): void {
    const waiting = [...this.levels.values()].filter((level) => level.waiting > 0);
    for (const level of waiting) while (level.inUse < level.nominal && level.startNext());
    for (const level of waiting) while (level.startNext());
  }

  #sum(of: (level: Level) => number): number {
    return [...this.levels.values()].reduce((sum, level) => sum + of(level), 0);
  }
}

/**
 * The seats of one priority level. `guaranteed` of them are its own; those up to `nominal` it lends while it has no use for
 * them; up to `limit` it borrows what others lend.
 */
export class Level {
  readonly name: string;
  readonly #seats: Seats;
  uid = '';
  isExempt = false;
  inUse = 0;
  guaranteed = 0;
  nominal = 0;
  #limit = 0;
  #queues: Queues<Waiting> | undefined;
  #queuing = '';

  constructor(seats: Seats, name: string) {
    this.#seats = seats;
    this.name = name;
  }

  get waiting(): number {
    return this.#queues?.size ?? 0;
  }

  configure({ metadata, spec }: Readonly<PriorityLevelConfiguration>, nominal: number): void {
    const { lendablePercent = 0, borrowingLimitPercent, limitResponse } = spec?.limited ?? {};
    this.uid = metadata.uid ?? '';
    this.isExempt = spec?.type === 'Exempt';
    this.nominal = nominal;
    this.guaranteed = nominal - Math.round((nominal * lendablePercent) / 100);
    this.#limit =
      borrowingLimitPercent === undefined ? Infinity : nominal + Math.round((nominal * borrowingLimitPercent) / 100);
    this.#setQueues(limitResponse?.type === 'Queue' ? (limitResponse.queuing ?? {}) : undefined);
  }

  #setQueues(queuing: { queues?: number; handSize?: number; queueLengthLimit?: number } | undefined): void {
    const text = JSON.stringify(queuing ?? null);
    if (text === this.#queuing) return;
    this.#queuing = text;
    const before = this.#queues;
    const { queues = 64, handSize = 8, queueLengthLimit = 50 } = queuing ?? {};
    this.#queues = queuing && new Queues(queues, handSize, queueLengthLimit);
    for (let one = before?.next(); one; one = before?.next())
      if (!this.#queues?.add(one.flow, one)) {
        this.inUse += 1;
        one.start();
      }
  }

  /** Takes a seat if one is free and nobody waits for it. */
  take(): boolean {
    return this.waiting === 0 && this.#sit();
  }

  #sit(): boolean {
    if (this.isExempt || this.inUse < this.guaranteed) {
      this.inUse += 1;
      return true;
    }
    if (this.inUse >= this.#limit || this.#seats.lent >= this.#seats.lendable) return false;
    this.inUse += 1;
    this.#seats.lent += 1;
    return true;
  }

  /** Waits for a seat in a line of the flow; resolves with why there is none. `onGone` calls back when the caller hangs up. */
  wait(flow: string, ms: number, onGone: (gone: () => void) => void): Promise<Refusal | undefined> {
    const queues = this.#queues;
    if (!queues) return Promise.resolve('concurrency-limit');
    return new Promise((resolve) => {
      const giveUp = (why: Refusal) => {
        if (isOver) return;
        isOver = true;
        clearTimeout(timer);
        this.#queues?.remove(one);
        resolve(why);
      };
      let isOver = false;
      const timer = setTimeout(() => giveUp('time-out'), ms);
      const one: Waiting = {
        flow,
        start: () => {
          isOver = true;
          clearTimeout(timer);
          resolve(undefined);
        },
      };
      if (!queues.add(flow, one)) return giveUp('queue-full');
      onGone(() => giveUp('cancelled'));
      this.#seats.fill();
    });
  }

  /** Gives a free seat to whose turn it is; false when there is none, or nobody. */
  startNext(): boolean {
    if (this.waiting === 0 || !this.#sit()) return false;
    this.#queues!.next()!.start();
    return true;
  }

  leave(): void {
    if (!this.isExempt && this.inUse > this.guaranteed && this.#seats.lent > 0) this.#seats.lent -= 1;
    this.inUse -= 1;
    for (const level of this.#seats.levels.values()) if (level.waiting > 0) return this.#seats.fill();
  }
}
