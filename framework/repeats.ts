import type { CallAcknowledge } from '../mesos/scheduler.ts';
import type { TaskStatus } from '../mesos/tasks.ts';

/** Milliseconds. An agent waits longer before it sends again what was not acknowledged. */
const soon = 5_000;

/**
 * Updates that come twice in a moment, as from an agent that has restarted or over a bad line, or again while what the first one
 * says is being written down: they are one, and acknowledged once, when it is. One that comes later was not acknowledged.
 */
export class Repeats {
  /** When each was first seen, oldest first. */
  readonly #seen = new Map<string, number>();
  /** To be acknowledged when something is written down. */
  readonly #held = new Set<string>();

  /** Whether this one was there just now. */
  isOne({ uuid, task_id }: TaskStatus, now: number): boolean {
    if (!uuid) return false;
    for (const [key, at] of this.#seen) {
      if (now - at < soon) break;
      this.#seen.delete(key);
    }
    const key = keyOf(task_id.value, uuid);
    if (this.#seen.has(key) || this.#held.has(key)) return true;
    this.#seen.set(key, now);
    return false;
  }

  /** It is not acknowledged before `release`. */
  hold({ task_id, uuid }: TaskStatus): void {
    if (uuid) this.#held.add(keyOf(task_id.value, uuid));
  }

  release({ task_id, uuid }: CallAcknowledge): void {
    this.#held.delete(keyOf(task_id.value, uuid));
  }

  /** Nothing that was sent to another master counts. */
  clear(): void {
    this.#seen.clear();
  }
}

const keyOf = (taskId: string, uuid: Uint8Array): string => `${taskId} ${Buffer.from(uuid).toString('hex')}`;
