import { createHash } from 'node:crypto';

/** What waits, and how many seats it will take. */
export interface Waiter {
  seats: number;
}

/** Requests that wait in one line, and when the line is next due. */
interface Line<T> {
  waiting: T[];
  /** In seats that the level has given, not in time. */
  due: number;
}

/**
 * Many lines, in which a flow uses only the few of its hand: a flow that floods fills its own lines and leaves most others
 * alone. Lines that have somebody take turns.
 * https://kubernetes.io/docs/concepts/cluster-administration/flow-control/#queuing
 */
export class Queues<T extends Waiter> {
  readonly #lines: Line<T>[];
  readonly #handSize: number;
  readonly #lengthLimit: number;
  #turn = 0;
  #size = 0;

  constructor(queues: number, handSize: number, lengthLimit: number) {
    this.#lines = Array.from({ length: queues }, () => ({ waiting: [], due: 0 }));
    this.#handSize = handSize;
    this.#lengthLimit = lengthLimit;
  }

  get size(): number {
    return this.#size;
  }

  /** False when even the shortest line of the flow's hand is full. */
  add(flow: string, one: T): boolean {
    const hand = dealHand(flow, this.#lines.length, this.#handSize).map((at) => this.#lines[at]!);
    const line = hand.reduce((best, other) => (other.waiting.length < best.waiting.length ? other : best));
    if (line.waiting.length >= this.#lengthLimit) return false;
    // Who was away does not get the turns that it missed.
    if (line.waiting.length === 0) line.due = Math.max(line.due, this.#turn);
    line.waiting.push(one);
    this.#size += 1;
    return true;
  }

  /** Whose turn it is; it goes on waiting. */
  peek(): T | undefined {
    return this.#first()?.waiting[0];
  }

  /** Takes out whose turn it is. A line whose requests are wide waits longer for its next turn. */
  next(): T | undefined {
    const first = this.#first();
    const one = first?.waiting.shift();
    if (!first || !one) return undefined;
    this.#turn = first.due;
    first.due += one.seats;
    this.#size -= 1;
    return one;
  }

  #first(): Line<T> | undefined {
    let first: Line<T> | undefined;
    for (const line of this.#lines) if (line.waiting.length > 0 && (!first || line.due < first.due)) first = line;
    return first;
  }

  remove(one: T): void {
    for (const { waiting } of this.#lines) {
      const at = waiting.indexOf(one);
      if (at < 0) continue;
      waiting.splice(at, 1);
      this.#size -= 1;
      return;
    }
  }
}

/** The lines of a flow, always the same ones: as many different cards of a deck. */
export function dealHand(flow: string, deck: number, size: number): number[] {
  let rest = BigInt(`0x${createHash('sha256').update(flow).digest('hex')}`);
  const cards = Array.from({ length: deck }, (_, i) => i);
  return Array.from({ length: Math.min(size, deck) }, (_, i) => {
    const left = BigInt(deck - i);
    const [card] = cards.splice(Number(rest % left), 1);
    rest /= left;
    return card!;
  });
}
