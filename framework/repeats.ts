import type { TaskStatus } from '../mesos/tasks.ts';

/** Milliseconds. An agent waits longer before it sends again what was not acknowledged. */
const soon = 5_000;

/**
 * Updates that come twice in a moment, as from an agent that has restarted or over a bad line: they are one, and
 * acknowledged once, when what the first one says is written down. One that comes later was not acknowledged.
 */
export class Repeats {
  /** When each was first seen, oldest first. */
  readonly #seen = new Map<string, number>();

  /** Whether this one was there just now. */
  isOne({ uuid, task_id }: TaskStatus, now: number): boolean {
    if (!uuid) return false;
    for (const [key, at] of this.#seen) {
      if (now - at < soon) break;
      this.#seen.delete(key);
    }
    const key = `${task_id.value} ${Buffer.from(uuid).toString('hex')}`;
    if (this.#seen.has(key)) return true;
    this.#seen.set(key, now);
    return false;
  }

  /** Nothing that was sent to another master counts. */
  clear(): void {
    this.#seen.clear();
  }
}
