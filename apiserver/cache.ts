import type { Kind } from '../api/kind.ts';
import { expired } from '../api/status.ts';
import { Entry, prefixOf } from './encoding.ts';
import type { Change } from './store.ts';
import { Watchers } from './watchers.ts';

export type EventType = 'ADDED' | 'MODIFIED' | 'DELETED';

/** One change as watchers see it; what is made of it for one format is kept under that format's name. */
export interface CacheEvent {
  type: EventType;
  revision: number;
  entry: Entry;
  previous: Entry | undefined;
  /** The object as it was before, at the revision of this change; made when somebody's selection lost it. */
  left?: Entry;
  encoded: Map<string, Buffer>;
}

/** Somebody who follows a kind. Called synchronously, with the events of one batch; must not throw or wait. */
export interface Follower {
  events: (events: readonly CacheEvent[]) => void;
  /** The cache lost its place (its history was compacted away): start again. */
  lost: () => void;
}

/**
 * All objects of one kind as of one revision, and its latest changes.
 *
 *   store ──▶ Feed ──▶ Cache: entries (parsed and bytes) + bounded history ──▶ followers, watchers
 */
export class Cache {
  readonly kind: Kind;
  readonly prefix: string;
  /** Clients that watch; told a little later than followers where they are many. */
  readonly watchers = new Watchers();
  readonly #limit: number;
  readonly #entries = new Map<string, Entry>();
  readonly #followers = new Set<Follower>();
  #keys: string[] = [];
  #history: CacheEvent[] = [];
  /** Changes up to here are no longer in the history. */
  #forgotten = 0;
  /** Changes up to here were part of what the cache was filled with. */
  #filledAt = 0;

  constructor(kind: Kind, historyLimit: number) {
    this.kind = kind;
    this.prefix = prefixOf(kind);
    this.#limit = historyLimit;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  /** Entries in key order, of one namespace if one is given. */
  list(namespace?: string): Entry[] {
    const keys = this.#keys;
    const [from, to] = namespace ? this.#range(`${namespace}/`) : [0, keys.length];
    const out = new Array<Entry>(to - from);
    for (let i = from; i < to; i++) out[i - from] = this.#entries.get(keys[i]!)!;
    return out;
  }

  #range(prefix: string): [from: number, to: number] {
    return [lowerBound(this.#keys, prefix), lowerBound(this.#keys, `${prefix.slice(0, -1)}0`)];
  }

  /** Everything anew, as of `revision`. */
  reset(entries: readonly Entry[], revision: number): void {
    this.#entries.clear();
    for (const entry of entries) this.#entries.set(entry.key, entry);
    this.#keys = entries.map((entry) => entry.key).sort(compare);
    this.#history = [];
    this.#forgotten = revision;
    this.#filledAt = revision;
    // Who is told may follow again at once.
    const followers = [...this.#followers];
    this.#followers.clear();
    for (const follower of followers) follower.lost();
    this.watchers.lost();
  }

  /** Takes in the changes of one batch and tells the followers. */
  apply(changes: readonly Change[]): void {
    const events = changes
      .filter((change) => revisionOf(change) > this.#filledAt)
      .map((change) => this.#take(change))
      .filter((event) => event !== undefined);
    if (events.length === 0) return;
    this.#history.push(...events);
    if (this.#history.length > this.#limit * 1.25) {
      const dropped = this.#history.length - this.#limit;
      this.#forgotten = this.#history[dropped - 1]!.revision;
      this.#history = this.#history.slice(dropped);
    }
    for (const follower of this.#followers) follower.events(events);
    this.watchers.tell(events);
  }

  #take(change: Change): CacheEvent | undefined {
    const encoded = new Map<string, Buffer>();
    if (change.type === 'put') {
      const entry = Entry.of(change.item, this.prefix);
      const previous = this.#entries.get(entry.key);
      this.#entries.set(entry.key, entry);
      if (!previous) this.#keys.splice(lowerBound(this.#keys, entry.key), 0, entry.key);
      return { type: previous ? 'MODIFIED' : 'ADDED', revision: entry.revision, entry, previous, encoded };
    }
    const key = change.key.slice(this.prefix.length);
    const previous = this.#entries.get(key);
    if (!previous) return undefined;
    this.#entries.delete(key);
    this.#keys.splice(lowerBound(this.#keys, key), 1);
    return { type: 'DELETED', revision: change.revision, entry: previous.at(change.revision), previous, encoded };
  }

  /** Changes after a revision; throws 410 Expired when they are no longer all known. */
  since(revision: number): readonly CacheEvent[] {
    if (revision < this.#forgotten) throw expired(`too old resource version: ${revision} (${this.#forgotten})`);
    const at = this.#history.findIndex((event) => event.revision > revision);
    return at < 0 ? [] : this.#history.slice(at);
  }

  follow(follower: Follower): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }
}

const revisionOf = (change: Change): number => (change.type === 'put' ? change.item.revision : change.revision);

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Where a key is, or would be. */
function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keys[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
