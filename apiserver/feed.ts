import type { Kind } from '../api/kind.ts';
import { Backoff } from '../lib/backoff.ts';
import { delay } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import { Cache } from './cache.ts';
import { Entry, prefixOf } from './encoding.ts';
import type { Change, Item, Store } from './store.ts';

const root = '/registry/';
const pageSize = 2000;
/** After how many objects it is said how far reading has come. */
const sayEach = 5 * pageSize;

/**
 * Keeps the caches of all kinds in step with the store through one watch over everything. One watch, so that having
 * seen revision R means having seen all changes up to R in every cache: that is what makes a cached read a fresh read.
 */
export class Feed {
  readonly #store: Store;
  readonly #log: Logger;
  readonly #historyLimit: number;
  readonly #caches = new Map<string, Cache>();
  readonly #waiters = new Set<{ revision: number; wake: (reached: boolean) => void }>();
  /** Changes of kinds whose caches are being filled. */
  readonly #filling = new Map<string, Change[]>();
  /** How often everything was read. */
  #fills = 0;
  #revision = 0;
  #asking: Promise<number> | undefined;
  #askNext: Promise<number> | undefined;

  constructor(store: Store, kinds: readonly Kind[], historyLimit: number, log: Logger) {
    this.#store = store;
    this.#log = log;
    this.#historyLimit = historyLimit;
    for (const kind of kinds) if (!kind.storage) this.#caches.set(prefixOf(kind), new Cache(kind, this.#historyLimit));
  }

  /** The last revision that every cache has seen. */
  get revision(): number {
    return this.#revision;
  }

  cache(kind: Parameters<typeof prefixOf>[0]): Cache {
    const cache = this.#caches.get(prefixOf(kind));
    if (!cache) throw new Error(`no cache for ${kind.plural}`);
    return cache;
  }

  /**
   * Starts to keep a kind that came later. Resolves when its cache holds everything that was written before this call;
   * from then on it is in step with the others.
   */
  async add(kind: Kind): Promise<void> {
    const prefix = prefixOf(kind);
    if (this.#caches.has(prefix)) return;
    const cache = new Cache(kind, this.#historyLimit);
    const missed: Change[] = [];
    const fills = this.#fills;
    this.#filling.set(prefix, missed);
    try {
      const { items, revision } = await this.#readAll(prefix);
      cache.reset(
        items.map((item) => Entry.of(item, prefix)),
        revision,
      );
      cache.apply(missed);
      this.#caches.set(prefix, cache);
    } finally {
      this.#filling.delete(prefix);
    }
    // Everything was read anew meanwhile: what was noted of the changes has a gap.
    if (fills !== this.#fills) {
      this.#caches.delete(prefix);
      return this.add(kind);
    }
    await this.fresh();
  }

  /** Forgets a kind that is no longer served; its watches end. */
  drop(kind: { group: string; plural: string }): void {
    const prefix = prefixOf(kind);
    this.#caches.get(prefix)?.reset([], this.#revision);
    this.#caches.delete(prefix);
  }

  /** The same, where the kind may not be served at all. */
  cacheIfServed(kind: { group: string; plural: string }): Cache | undefined {
    return this.#caches.get(prefixOf(kind));
  }

  get caches(): Iterable<Cache> {
    return this.#caches.values();
  }

  /** Resolves when the caches are filled for the first time; then follows until the signal aborts. */
  async start(signal: AbortSignal): Promise<void> {
    await this.#fill();
    void this.#follow(signal);
  }

  async #readAll(prefix: string): Promise<{ items: Item[]; revision: number }> {
    const items: Item[] = [];
    let page = await this.#store.list(prefix, { limit: pageSize });
    const { revision } = page;
    items.push(...page.items);
    while (page.more) {
      if (items.length % sayEach === 0)
        this.#log.info({ objects: items.length, revision }, 'reading what the store holds');
      page = await this.#store.list(prefix, { limit: pageSize, revision, from: `${page.items.at(-1)!.key}\0` });
      items.push(...page.items);
    }
    return { items, revision };
  }

  async #fill(): Promise<void> {
    const { items, revision } = await this.#readAll(root);
    this.#fills += 1;
    const byCache = new Map<Cache, Entry[]>();
    for (const item of items) {
      const cache = this.#cacheOf(item.key);
      if (!cache) continue;
      const entries = byCache.get(cache);
      if (entries) entries.push(Entry.of(item, cache.prefix));
      else byCache.set(cache, [Entry.of(item, cache.prefix)]);
    }
    for (const cache of this.#caches.values()) cache.reset(byCache.get(cache) ?? [], revision);
    this.#log.info({ objects: items.length, revision }, 'has read what the store holds');
    this.#reached(revision);
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff({ first: 50, max: 3000 });
    while (!signal.aborted) {
      try {
        for await (const batch of this.#store.watch(root, this.#revision, signal)) {
          backoff.reset();
          this.#dispatch(batch.events);
          this.#reached(batch.revision);
        }
        if (!signal.aborted) throw new Error('the watch of the store ended');
      } catch (err) {
        if (signal.aborted) return;
        this.#log.warn({ err }, 'the watch of the store broke: reading everything again');
        await this.#refill(backoff, signal);
      }
    }
  }

  async #refill(backoff: Backoff, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await delay(backoff.next(), signal);
        return await this.#fill();
      } catch (err) {
        if (!signal.aborted) this.#log.warn({ err }, 'the store does not answer');
      }
    }
  }

  #dispatch(changes: readonly Change[]): void {
    let at = 0;
    while (at < changes.length) {
      const cache = this.#cacheOf(keyOf(changes[at]!));
      let end = at + 1;
      while (end < changes.length && this.#cacheOf(keyOf(changes[end]!)) === cache) end += 1;
      if (cache) cache.apply(changes.slice(at, end));
      else if (this.#filling.size > 0)
        for (const change of changes.slice(at, end)) this.#filling.get(prefixIn(keyOf(change)))?.push(change);
      at = end;
    }
  }

  #cacheOf(key: string): Cache | undefined {
    return this.#caches.get(prefixIn(key));
  }

  #reached(revision: number): void {
    if (revision > this.#revision) this.#revision = revision;
    for (const waiter of this.#waiters)
      if (waiter.revision <= this.#revision) {
        this.#waiters.delete(waiter);
        waiter.wake(true);
      }
  }

  /** Resolves true when every cache has seen `revision`, false when that took longer than `timeoutMs`. */
  waitFor(revision: number, timeoutMs: number): Promise<boolean> {
    if (revision <= this.#revision) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter);
        resolve(false);
      }, timeoutMs);
      const waiter = {
        revision,
        wake: (reached: boolean) => {
          clearTimeout(timer);
          resolve(reached);
        },
      };
      this.#waiters.add(waiter);
    });
  }

  /**
   * Resolves true when the caches hold everything that was written before this call. One read of the store's revision
   * serves all callers that came before it was sent.
   */
  async fresh(timeoutMs = 100): Promise<boolean> {
    return this.waitFor(await this.#currentRevision(), timeoutMs);
  }

  #currentRevision(): Promise<number> {
    if (!this.#asking) return this.#ask();
    // A read on its way may have been answered before our caller's write: the next one serves us.
    this.#askNext ??= this.#asking.then(
      () => this.#ask(),
      () => this.#ask(),
    );
    return this.#askNext;
  }

  #ask(): Promise<number> {
    this.#askNext = undefined;
    const asking = this.#store.get(`${root}-`).then(({ revision }) => revision);
    this.#asking = asking;
    const done = () => {
      if (this.#asking === asking) this.#asking = undefined;
    };
    asking.then(done, done);
    return asking;
  }
}

/** `/registry/<group>/<resource>/` of a key. */
function prefixIn(key: string): string {
  const group = key.indexOf('/', root.length);
  const resource = key.indexOf('/', group + 1);
  return key.slice(0, resource + 1);
}

const keyOf = (change: Change): string => (change.type === 'put' ? change.item.key : change.key);
