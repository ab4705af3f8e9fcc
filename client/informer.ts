import type { Kind } from '../api/kind.ts';
import { type KubeObject, type Stored, keyOf } from '../api/meta.ts';
import { isGone, isInvalid } from '../api/status.ts';
import { Backoff } from '../lib/backoff.ts';
import { delay } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import type { Client } from './client.ts';
import type { WatchEvent } from './watch.ts';

export type Change<T> =
  | { type: 'added'; object: T }
  | { type: 'updated'; object: T; old: T }
  /** `object` is the last state known; `isStale` where a gap in the watch hid how it went, so that it may be older than that. */
  | { type: 'deleted'; object: T; isStale: boolean };

export interface InformerOptions<T> {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  /** Name → the values under which an object is found by `by(name, value)`. */
  indexes?: Record<string, (object: T) => readonly string[]>;
  /** The watch brings what is there, too, object by object: no list of all is held by anybody. Servers that cannot are asked for lists. */
  streaming?: boolean;
  /** False: objects are kept without metadata.managedFields, which are large and seldom asked for. */
  managedFields?: boolean;
}

/** Marks the bookmark after what was there when a watch began. */
const initialEnd = 'k8s.io/initial-events-end';

const pageSize = 2000;
const initialEvents = { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' } as const;
const ownerIndex = 'km/owner';

/**
 * A local copy of all objects of a kind, kept by list and watch.
 *
 *   list ─▶ cache ─▶ watch from there ─▶ 410 Gone ─▶ list again, and tell what vanished meanwhile
 *
 * Objects in it are shared by all readers: never change them. Handlers run synchronously, in the order of the events,
 * after the cache holds the new state; they must not throw.
 */
export class Informer<T extends KubeObject> {
  readonly kind: Kind<T>;
  readonly #client: Client;
  readonly #options: InformerOptions<T & Stored>;
  readonly #log: Logger;
  readonly #objects = new Map<string, T & Stored>();
  readonly #indexes = new Map<string, Map<string, Set<string>>>();
  #indexers: Record<string, (object: T & Stored) => readonly string[]>;
  readonly #handlers = new Set<(change: Change<T & Stored>) => void>();
  #version = '';
  #synced = false;
  #streams: boolean;
  /** With NODE_ENV=development, as for controllers that are being written, a write to a shared object throws. */
  readonly #inDevelopment = process.env['NODE_ENV'] === 'development';

  constructor(client: Client, kind: Kind<T>, options: InformerOptions<T & Stored>, log: Logger) {
    this.kind = kind;
    this.#client = client;
    this.#options = options;
    this.#streams = options.streaming ?? false;
    this.#log = log.child({ informer: kind.plural });
    this.#indexers = {
      ...options.indexes,
      [ownerIndex]: (object) => (object.metadata.ownerReferences ?? []).filter((o) => o.controller).map((o) => o.uid),
    };
  }

  /** One more way to find objects by `by`; what is there already is found by it too. */
  addIndexes(indexes: Record<string, (object: T & Stored) => readonly string[]>): void {
    for (const [key, object] of this.#objects) this.#unindex(key, object);
    this.#indexers = { ...this.#indexers, ...indexes };
    for (const [key, object] of this.#objects) this.#index(key, object);
  }

  /** True once the first list has been taken in. */
  get synced(): boolean {
    return this.#synced;
  }

  /** True when it shows what was written with this version, or is past it: what came and went in between is not there. */
  isAsNewAs(resourceVersion: string): boolean {
    return this.#version !== '' && BigInt(this.#version) >= BigInt(resourceVersion);
  }

  get size(): number {
    return this.#objects.size;
  }

  /** `key` is `namespace/name`, or `name` for cluster kinds. */
  get(key: string): (T & Stored) | undefined {
    return this.#objects.get(key);
  }

  list(): IterableIterator<T & Stored> {
    return this.#objects.values();
  }

  by(index: string, value: string): (T & Stored)[] {
    const keys = this.#indexes.get(index)?.get(value);
    return keys ? [...keys].map((key) => this.#objects.get(key)!) : [];
  }

  /** Objects whose controller is this one. */
  ownedBy(owner: { metadata: { uid?: string } }): (T & Stored)[] {
    return this.by(ownerIndex, owner.metadata.uid ?? '');
  }

  /** Tells every change from now on, and what is there already as `added`. Answers how to stop. */
  on(handler: (change: Change<T & Stored>) => void): () => void {
    for (const object of this.#objects.values()) handler({ type: 'added', object });
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  /** Lists, then follows until the signal aborts. Resolves when the first list is in; later faults are retried for ever. */
  async start(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff({ first: 100, max: 10_000 });
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      void this.#follow(backoff, signal, resolve);
    });
  }

  async #follow(backoff: Backoff, signal: AbortSignal, synced: () => void): Promise<void> {
    while (!signal.aborted) {
      try {
        const isNew = this.#version === '';
        if (isNew && !this.#streams) {
          await this.#relist(signal);
          this.#isSynced(synced);
        }
        const events = this.#events(signal);
        if (isNew && this.#streams) {
          await this.#takeIn(events);
          this.#isSynced(synced);
        }
        for await (const event of events) {
          backoff.reset();
          this.#apply(event);
        }
      } catch (err) {
        if (signal.aborted) return;
        if (isGone(err)) this.#version = '';
        else if (this.#version === '' && this.#streams && isInvalid(err)) {
          this.#log.info({ err }, 'the server does not stream what is there; asking for lists');
          this.#streams = false;
        } else this.#log.warn({ err }, 'watch broke; trying again');
        await delay(backoff.next(), signal).catch(() => undefined);
      }
    }
  }

  #events(signal: AbortSignal): AsyncGenerator<WatchEvent<T & Stored>, void, undefined> {
    const { namespace, labelSelector, fieldSelector } = this.#options;
    return this.#client.watch(
      this.kind,
      {
        namespace,
        labelSelector,
        fieldSelector,
        resourceVersion: this.#version || undefined,
        allowWatchBookmarks: true,
        ...(this.#version ? {} : this.#streams ? initialEvents : {}),
        timeoutSeconds: 300 + Math.floor(Math.random() * 300),
      },
      signal,
    );
  }

  #isSynced(synced: () => void): void {
    this.#synced = true;
    synced();
  }

  /** What was there when the watch began; until its end is told nothing may be taken for gone, and nothing resumed. */
  async #takeIn(events: AsyncGenerator<WatchEvent<T & Stored>, void, undefined>): Promise<void> {
    const seen = new Set<string>();
    for (let next = await events.next(); !next.done; next = await events.next()) {
      const { type, object } = next.value;
      if (type === 'BOOKMARK') {
        if (object.metadata.annotations?.[initialEnd] !== 'true') continue;
        this.#version = object.metadata.resourceVersion;
        this.#forgetAllBut(seen);
        return;
      }
      seen.add(keyOf(object));
      if (type === 'DELETED') this.#remove(keyOf(object), object, false);
      else this.#set(object);
    }
    throw new Error('the watch ended before it had brought what is there');
  }

  async #relist(signal: AbortSignal): Promise<void> {
    const { namespace, labelSelector, fieldSelector } = this.#options;
    const seen = new Set<string>();
    let token: string | undefined;
    do {
      const page = await this.#client.list(
        this.kind,
        { namespace, labelSelector, fieldSelector, limit: pageSize, continue: token },
        signal,
      );
      for (const object of page.items) {
        seen.add(keyOf(object));
        this.#set(object);
      }
      token = page.metadata.continue || undefined;
      this.#version = token ? '' : (page.metadata.resourceVersion ?? '');
    } while (token);
    this.#forgetAllBut(seen);
  }

  #forgetAllBut(seen: ReadonlySet<string>): void {
    for (const [key, object] of [...this.#objects]) if (!seen.has(key)) this.#remove(key, object, true);
  }

  #apply(event: WatchEvent<T & Stored>): void {
    this.#version = event.object.metadata.resourceVersion;
    if (event.type === 'BOOKMARK') return;
    if (event.type === 'DELETED') this.#remove(keyOf(event.object), event.object, false);
    else this.#set(event.object);
  }

  #set(object: T & Stored): void {
    const key = keyOf(object);
    const old = this.#objects.get(key);
    if (old?.metadata.resourceVersion === object.metadata.resourceVersion) return;
    // Deleted and made again between two looks: two objects, two stories.
    if (old && old.metadata.uid !== object.metadata.uid) this.#remove(key, old, true);
    const before = this.#objects.get(key);
    if (before) this.#unindex(key, before);
    if (this.#options.managedFields === false) delete object.metadata.managedFields;
    if (this.#inDevelopment) freeze(object);
    this.#objects.set(key, object);
    this.#index(key, object);
    this.#tell(before ? { type: 'updated', object, old: before } : { type: 'added', object });
  }

  #remove(key: string, object: T & Stored, isStale: boolean): void {
    const old = this.#objects.get(key);
    if (!old) return;
    this.#unindex(key, old);
    this.#objects.delete(key);
    this.#tell({ type: 'deleted', object, isStale });
  }

  #tell(change: Change<T & Stored>): void {
    for (const handler of this.#handlers) handler(change);
  }

  #index(key: string, object: T & Stored): void {
    for (const [name, values] of Object.entries(this.#indexers)) {
      const index = this.#indexes.get(name) ?? new Map<string, Set<string>>();
      this.#indexes.set(name, index);
      for (const value of values(object)) {
        const keys = index.get(value);
        if (keys) keys.add(key);
        else index.set(value, new Set([key]));
      }
    }
  }

  #unindex(key: string, object: T & Stored): void {
    for (const [name, values] of Object.entries(this.#indexers)) {
      const index = this.#indexes.get(name);
      for (const value of values(object)) {
        const keys = index?.get(value);
        keys?.delete(key);
        if (keys?.size === 0) index?.delete(value);
      }
    }
  }
}

/** One informer a kind and scope, however many ask for it; all start together. */
export class Informers {
  readonly #client: Client;
  readonly #log: Logger;
  readonly #defaults: Pick<InformerOptions<never>, 'streaming' | 'managedFields'>;
  readonly #made = new Map<string, { start(signal: AbortSignal): Promise<void> }>();

  /** `defaults` are for every informer that is not asked for otherwise. */
  constructor(client: Client, log: Logger, defaults: Pick<InformerOptions<never>, 'streaming' | 'managedFields'> = {}) {
    this.#client = client;
    this.#log = log;
    this.#defaults = defaults;
  }

  of<T extends KubeObject>(kind: Kind<T>, options: InformerOptions<T & Stored> = {}): Informer<T> {
    const { namespace = '', labelSelector = '', fieldSelector = '' } = options;
    const key = [kind.group, kind.plural, namespace, labelSelector, fieldSelector].join('|');
    const found = this.#made.get(key) as Informer<T> | undefined; // the key names the kind, so the type is right
    if (found) {
      if (options.indexes) found.addIndexes(options.indexes);
      return found;
    }
    const made = new Informer(this.#client, kind, { ...this.#defaults, ...options }, this.#log);
    this.#made.set(key, made);
    return made;
  }

  /** Resolves when every informer that was asked for has its first list. */
  async start(signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#made.values()].map((informer) => informer.start(signal)));
  }
}

function freeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  Object.values(value).forEach(freeze);
}
