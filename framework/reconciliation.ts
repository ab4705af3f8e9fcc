import { Backoff } from '../lib/backoff.ts';

/** Enough to name a task to the master. */
export interface Named {
  id: string;
  agentId: string;
}

const batchSize = 1000;
/** With fewer questions open than this, the next batch is asked: what is offered meanwhile comes between its answers. */
const enoughOpen = batchSize / 2;
/** Milliseconds until silent ones are asked about again, at first. */
const firstWait = 2_000;
/** Milliseconds between two implicit reconciliations. */
const implicitInterval = 15 * 60_000;

/**
 * Asking the master what became of tasks, as its documentation prescribes.
 *
 *   (re)subscribed ─▶ explicit: all we know, batch by batch ─▶ wait, ask again for the silent ones (an agent may be recovering), ever
 *   more slowly ─▶ all answered ─▶ implicit: tasks we do not know of ─▶ implicit again each quarter of an hour
 */
export class Reconciliation {
  /** Without an answer. */
  #silent = new Map<string, Named>();
  /** Those of them that this round has not asked about. */
  #unasked: Named[] = [];
  #open = new Set<string>();
  #nextAt = Infinity;
  readonly #backoff = new Backoff({ first: firstWait, max: 120_000 });

  /** Every task we know; answers what to ask first. */
  start(tasks: Iterable<Named>, now: number): readonly Named[][] {
    this.#silent = new Map([...tasks].map(({ id, agentId }) => [id, { id, agentId }]));
    this.#backoff.reset();
    return this.#round(now);
  }

  /** The stream is down: ask nothing until it is up again. */
  stop(): void {
    this.#nextAt = Infinity;
    this.#unasked = [];
  }

  /** Answers what to ask next. */
  answered(taskId: string): readonly Named[][] {
    this.#silent.delete(taskId);
    this.#open.delete(taskId);
    return this.#open.size < enoughOpen ? this.#ask() : [];
  }

  /** What to ask now. An empty batch is the implicit question. */
  due(now: number): readonly Named[][] {
    if (now < this.#nextAt) return [];
    if (this.#unasked.length === 0) return this.#round(now);
    // Those that were asked about stay silent; they have their turn in the next round.
    this.#open.clear();
    this.#nextAt = now + firstWait;
    return this.#ask();
  }

  #round(now: number): readonly Named[][] {
    this.#unasked = [...this.#silent.values()];
    this.#open.clear();
    const isDone = this.#unasked.length === 0;
    this.#nextAt = now + (isDone ? implicitInterval : this.#backoff.next());
    return isDone ? implicit : this.#ask();
  }

  #ask(): readonly Named[][] {
    const batch = this.#unasked.splice(0, batchSize).filter(({ id }) => this.#silent.has(id));
    for (const { id } of batch) this.#open.add(id);
    return batch.length > 0 ? [batch] : [];
  }
}

const implicit: readonly Named[][] = [[]];

export function batches(tasks: readonly Named[]): Named[][] {
  const all: Named[][] = [];
  for (let at = 0; at < tasks.length; at += batchSize) all.push(tasks.slice(at, at + batchSize));
  return all;
}
