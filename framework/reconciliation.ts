import { Backoff } from '../lib/backoff.ts';

/** Enough to name a task to the master. */
export interface Named {
  id: string;
  agentId: string;
}

const batchSize = 1000;
/** Milliseconds between two implicit reconciliations. */
const implicitInterval = 15 * 60_000;

/**
 * Asking the master what became of tasks, as its documentation prescribes.
 *
 *   (re)subscribed ─▶ explicit: all we know ─▶ wait, ask again for the silent ones (an agent may be recovering), ever
 *   more slowly ─▶ all answered ─▶ implicit: tasks we do not know of ─▶ implicit again each quarter of an hour
 */
export class Reconciliation {
  #silent = new Map<string, Named>();
  #nextAt = Infinity;
  #explicit = false;
  readonly #backoff = new Backoff({ first: 2_000, max: 120_000 });

  /** Every task we know; answers what to ask first. */
  start(tasks: Iterable<Named>, now: number): readonly Named[][] {
    this.#silent = new Map([...tasks].map(({ id, agentId }) => [id, { id, agentId }]));
    this.#backoff.reset();
    this.#explicit = this.#silent.size > 0;
    this.#nextAt = now + (this.#explicit ? this.#backoff.next() : implicitInterval);
    return this.#explicit ? batches([...this.#silent.values()]) : implicit;
  }

  /** The stream is down: ask nothing until it is up again. */
  stop(): void {
    this.#nextAt = Infinity;
  }

  answered(taskId: string): void {
    this.#silent.delete(taskId);
  }

  /** What to ask now. An empty batch is the implicit question. */
  due(now: number): readonly Named[][] {
    if (now < this.#nextAt) return [];
    if (this.#silent.size > 0) {
      this.#nextAt = now + this.#backoff.next();
      return batches([...this.#silent.values()]);
    }
    this.#nextAt = now + implicitInterval;
    return implicit;
  }
}

const implicit: readonly Named[][] = [[]];

export function batches(tasks: readonly Named[]): Named[][] {
  const all: Named[][] = [];
  for (let at = 0; at < tasks.length; at += batchSize) all.push(tasks.slice(at, at + batchSize));
  return all;
}
