import type { Pod } from '../api/kinds/pod.ts';
import { type Stored, keyOf } from '../api/meta.ts';
import { Backoff } from '../lib/backoff.ts';

type QueuedPod = Pod & Stored;

interface Entry {
  pod: QueuedPod;
  backoff: Backoff;
  /** Not tried before this time, milliseconds. */
  notBefore: number;
  /** Refused everywhere: rests until the cluster changes, or this time has come. 0: not resting. */
  restUntil: number;
  /** When it was first refused everywhere. */
  refusedSince: number | undefined;
  order: number;
}

/** Milliseconds after which a resting pod is tried even if nothing was seen to change. */
const longestRest = 10_000;

/** Its turn has come; a pause is over later; it rests until a change that may help. */
export type QueuePart = 'active' | 'backoff' | 'unschedulable';

const turnOf = ({ notBefore, restUntil }: Entry): number => Math.max(notBefore, restUntil);

const inOrder = (a: Entry, b: Entry): number =>
  (b.pod.spec.priority ?? 0) - (a.pod.spec.priority ?? 0) || a.order - b.order;

function partOf({ notBefore, restUntil }: Entry, now: number): QueuePart {
  if (restUntil > now) return 'unschedulable';
  return notBefore > now ? 'backoff' : 'active';
}

/**
 * Pods that wait for a place.
 *
 *   add ─▶ active ──next──▶ (being placed)
 *            ▲                 │ refused everywhere: rest until something changes, and at least the backoff
 *            └── backoff ◀─────┤ launch failed: backoff
 *                              └ placed: gone
 *
 * Higher priority first, then who came first.
 */
export class SchedulingQueue {
  readonly #entries = new Map<string, Entry>();
  #order = 0;

  /** All that wait, in no order. */
  pods(): QueuedPod[] {
    return [...this.#entries.values()].map(({ pod }) => pod);
  }

  get size(): number {
    return this.#entries.size;
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  /** A new pod, or a new state of one that waits; a change of what it asks for wakes it. */
  put(pod: QueuedPod): void {
    const key = keyOf(pod);
    const known = this.#entries.get(key);
    if (known && known.pod.metadata.uid === pod.metadata.uid) {
      if (known.pod.metadata.generation !== pod.metadata.generation || labelsChanged(known.pod, pod))
        known.restUntil = 0;
      known.pod = pod;
      return;
    }
    const backoff = new Backoff({ first: 500, max: 10_000 });
    this.#entries.set(key, { pod, backoff, notBefore: 0, restUntil: 0, refusedSince: undefined, order: this.#order++ });
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  /** Something changed that may help those pods: who rests is tried again. */
  wake(helps: (pod: QueuedPod) => boolean = () => true): void {
    for (const entry of this.#entries.values()) if (entry.restUntil > 0 && helps(entry.pod)) entry.restUntil = 0;
  }

  /** Those whose turn it is at `now`, in order. They stay in the queue until deleted. */
  ready(now: number): QueuedPod[] {
    return [...this.#entries.values()]
      .filter((entry) => turnOf(entry) <= now)
      .sort(inOrder)
      .map(({ pod }) => pod);
  }

  /** All that wait, in the order of their turns, with what they wait for. */
  describe(now: number): { pod: QueuedPod; part: QueuePart; until: number }[] {
    return [...this.#entries.values()]
      .sort(inOrder)
      .map((entry) => ({ pod: entry.pod, part: partOf(entry, now), until: turnOf(entry) }));
  }

  /** When the next one may be tried; Infinity if there is none. */
  nextTurn(): number {
    let next = Infinity;
    for (const entry of this.#entries.values()) next = Math.min(next, turnOf(entry));
    return next;
  }

  /**
   * No node took it. A pod that only lacks offers is tried again whenever something changes; one that fits nowhere as things
   * are, ever less often. Answers for how long it has been refused, milliseconds.
   */
  rest(key: string, now: number, awaitsOffers: boolean): number {
    const entry = this.#entries.get(key);
    if (!entry) return 0;
    entry.refusedSince ??= now;
    entry.notBefore = awaitsOffers ? now : now + entry.backoff.next();
    entry.restUntil = now + longestRest;
    return now - entry.refusedSince;
  }

  /** Its launch failed: back to the queue after a growing wait. */
  retry(pod: QueuedPod, now: number): void {
    this.put(pod);
    const entry = this.#entries.get(keyOf(pod))!;
    entry.notBefore = now + entry.backoff.next();
    entry.restUntil = 0;
  }
}

function labelsChanged(a: QueuedPod, b: QueuedPod): boolean {
  return JSON.stringify(a.metadata.labels) !== JSON.stringify(b.metadata.labels);
}
