import type { PriorityLevelConfiguration } from '../../api/kinds/priority-level-configuration.ts';
import { Queues, type Waiter } from './queues.ts';

/** A request that waits for a seat. */
interface Waiting extends Waiter {
  flow: string;
  start: () => void;
}

/** What one request may take of its level's nominal seats. */
const widestPart = 0.15;

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
        this.inUse += one.seats;
        one.start();
      }
  }

  /** How many of the seats that a request wants it may take here, so that a few wide ones do not fill the level. */
  clip(seats: number): number {
    return Math.min(seats, Math.max(1, Math.ceil(this.nominal * widestPart)));
  }

  /** Takes seats if they are free and nobody waits for them. */
  take(seats: number): boolean {
    return this.waiting === 0 && this.#sit(seats);
  }

  #sit(seats: number): boolean {
    const borrowed = this.#borrowed(this.inUse + seats) - this.#borrowed(this.inUse);
    if (borrowed > 0 && (this.inUse + seats > this.#limit || this.#seats.lent + borrowed > this.#seats.lendable))
      return false;
    this.inUse += seats;
    this.#seats.lent += borrowed;
    return true;
  }

  /** Seats of others, when so many are in use. */
  #borrowed(inUse: number): number {
    return this.isExempt ? 0 : Math.max(0, inUse - this.guaranteed);
  }

  /** Waits for seats in a line of the flow; resolves with why there are none. `onGone` calls back when the caller hangs up. */
  wait(flow: string, seats: number, ms: number, onGone: (gone: () => void) => void): Promise<Refusal | undefined> {
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
        seats,
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
    const one = this.#queues?.peek();
    if (!one || !this.#sit(one.seats)) return false;
    this.#queues!.next()!.start();
    return true;
  }

  leave(seats: number): void {
    const back = this.#borrowed(this.inUse) - this.#borrowed(this.inUse - seats);
    this.#seats.lent -= back;
    this.inUse -= seats;
    for (const level of this.#seats.levels.values()) if (level.waiting > 0) return this.#seats.fill();
  }
}
