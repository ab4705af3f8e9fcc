import type { CacheEvent, Follower } from './cache.ts';

/** Milliseconds. */
const longest = 10;
/** With so many watches events may wait a millisecond. */
const watchesPerMillisecond = 10;

/**
 * The watches of one kind. To write ten events to a connection costs hardly more than to write one: where there are many watches,
 * what comes right after something else is gathered for a moment, and goes out together. What comes alone goes at once.
 */
export class Watchers {
  readonly #followers = new Set<Follower>();
  #gathered: CacheEvent[] = [];
  #timer: NodeJS.Timeout | undefined;
  #toldAt = 0;

  get size(): number {
    return this.#followers.size;
  }

  /** May be told what happened shortly before. */
  follow(follower: Follower): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  tell(events: readonly CacheEvent[]): void {
    if (this.#followers.size === 0) return;
    this.#gathered.push(...events);
    if (this.#timer) return;
    const pause = Math.min(longest, Math.floor(this.#followers.size / watchesPerMillisecond));
    const left = this.#toldAt + pause - performance.now();
    if (left <= 0) this.flush();
    else this.#timer = setTimeout(() => this.flush(), left);
  }

  /** Now: who says how far a watch has seen must have told it everything until then. */
  flush(): void {
    const events = this.#clear();
    if (events.length === 0) return;
    for (const follower of this.#followers) follower.events(events);
    this.#toldAt = performance.now();
  }

  lost(): void {
    this.#clear();
    const followers = [...this.#followers];
    this.#followers.clear();
    for (const follower of followers) follower.lost();
  }

  #clear(): CacheEvent[] {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const events = this.#gathered;
    this.#gathered = [];
    return events;
  }
}
