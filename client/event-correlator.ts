/** What an event is said by, and about; the message aside. */
export interface Occurrence {
  /** Kind, namespace, name, uid … of the object. */
  about: string;
  type: string;
  reason: string;
  message: string;
}

/** Of one reason about one object so many messages stand by themselves, those that follow within the time as one Event. */
const distinct = 10;
const similarMs = 600_000;
/** About one object so many events may come at once, and one more each five minutes. */
const burst = 25;
const refillMs = 300_000;
const remembered = 4096;
const combined = '(combined from similar events): ';

/**
 * Keeps a controller that has much to say from filling the store, by the rules of client-go: what differs in its message
 * alone is combined after a while, and an object that much happens to is heard of less often. Repeats are counted all the same.
 */
export class EventCorrelator {
  readonly #messages = new Remembering<{ seen: Set<string>; last: number }>();
  readonly #tokens = new Remembering<{ left: number; at: number }>();

  /** Under which key and words it is written; `quiet`: only counted. */
  correlate(
    { about, type, reason, message }: Occurrence,
    now: number,
  ): { key: string; message: string; quiet: boolean } {
    const quiet = !this.#mayWrite(about, now);
    const group = JSON.stringify([about, type, reason]);
    const similar = this.#messages.get(group, () => ({ seen: new Set<string>(), last: now }));
    if (now - similar.last > similarMs) similar.seen.clear();
    similar.last = now;
    similar.seen.add(message);
    if (similar.seen.size < distinct) return { key: JSON.stringify([group, message]), message, quiet };
    // It never grows beyond that.
    for (const oldest of similar.seen) {
      similar.seen.delete(oldest);
      break;
    }
    return { key: group, message: combined + message, quiet };
  }

  #mayWrite(about: string, now: number): boolean {
    const bucket = this.#tokens.get(about, () => ({ left: burst, at: now }));
    bucket.left = Math.min(burst, bucket.left + (now - bucket.at) / refillMs);
    bucket.at = now;
    if (bucket.left < 1) return false;
    bucket.left -= 1;
    return true;
  }
}

/** The values last asked for. */
export class Remembering<T> {
  readonly #values = new Map<string, T>();

  get(key: string, make: () => T): T {
    const value = this.#values.get(key) ?? make();
    this.#values.delete(key);
    this.#values.set(key, value);
    if (this.#values.size > remembered)
      for (const oldest of this.#values.keys()) {
        this.#values.delete(oldest);
        break;
      }
    return value;
  }
}
