import type { Pod } from '../api/kinds/pod.ts';

const firstWait = 1_000;
const longestWait = 60_000;
/** A task that lasted this long was no failed try, milliseconds. */
const longEnough = 60_000;

interface Entry {
  pod: Pod;
  /** A seat is being tried; until it fails the pod does not ask. */
  housed: boolean;
  notBefore: number;
  failures: number;
  housedAt: number;
}

/**
 * Bound pods whose task is lost. They belong to their node and want a new task there; one whose new tasks keep ending is
 * tried less and less often.
 */
export class Homeless {
  readonly #entries = new Map<string, Entry>();

  /** Those that ask for offers. */
  *asking(): IterableIterator<Pod> {
    for (const { pod, housed } of this.#entries.values()) if (!housed) yield pod;
  }

  /** Those whose turn it is. */
  *due(now: number): IterableIterator<Pod> {
    for (const { pod, housed, notBefore } of this.#entries.values()) if (!housed && notBefore <= now) yield pod;
  }

  /** The pod has lost its task, or its new task did not come about. */
  add(pod: Pod, now: number): void {
    const uid = pod.metadata.uid!;
    const known = this.#entries.get(uid);
    if (!known) {
      this.#entries.set(uid, { pod, housed: false, notBefore: now, failures: 0, housedAt: 0 });
      return;
    }
    known.pod = pod;
    if (!known.housed) return;
    known.housed = false;
    known.failures = now - known.housedAt > longEnough ? 0 : known.failures + 1;
    known.notBefore = known.failures === 0 ? now : now + Math.min(longestWait, firstWait * 2 ** (known.failures - 1));
  }

  /** It has a seat now; remembered, so that a quick end of it counts as a failure. */
  housed(uid: string, now: number): void {
    const entry = this.#entries.get(uid);
    if (entry) Object.assign(entry, { housed: true, housedAt: now });
  }

  delete(uid: string): void {
    this.#entries.delete(uid);
  }
}
