import { type KubeObject, type Stored, keyOf } from '../../api/meta.ts';
import type { Informer } from '../../client/informer.ts';

/** Milliseconds after which a change that was never seen is no longer waited for. */
const patience = 30_000;

/**
 * What a controller has done that its cache does not show yet. While something is outstanding for an owner the cache is
 * known to be old, and counting it would create or delete twice. The change that is waited for wakes the owner by itself.
 */
export class Expectations<T extends KubeObject> {
  readonly #informer: Informer<T>;
  readonly #now: () => number;
  readonly #awaited = new Map<string, { owner: string; deletion: boolean; until: number }>();
  readonly #byOwner = new Map<string, Set<string>>();

  constructor(informer: Informer<T>, now: () => number) {
    this.#informer = informer;
    this.#now = now;
    informer.on(({ type, object }) => {
      const awaited = this.#awaited.get(object.metadata.uid);
      if (awaited && (type === 'deleted' || !awaited.deletion || object.metadata.deletionTimestamp))
        this.#seen(object.metadata.uid);
    });
  }

  created(owner: string, object: T & Stored): void {
    if (this.#informer.get(keyOf(object))?.metadata.uid !== object.metadata.uid)
      this.#await(owner, object.metadata.uid, false);
  }

  deleted(owner: string, object: T & Stored): void {
    const cached = this.#informer.get(keyOf(object));
    if (cached?.metadata.uid === object.metadata.uid && !cached.metadata.deletionTimestamp)
      this.#await(owner, object.metadata.uid, true);
  }

  /** True when the cache shows everything that was done for this owner. */
  met(owner: string): boolean {
    for (const uid of this.#byOwner.get(owner) ?? []) if (this.#now() > this.#awaited.get(uid)!.until) this.#seen(uid);
    return !this.#byOwner.has(owner);
  }

  #await(owner: string, uid: string, deletion: boolean): void {
    this.#awaited.set(uid, { owner, deletion, until: this.#now() + patience });
    const uids = this.#byOwner.get(owner);
    if (uids) uids.add(uid);
    else this.#byOwner.set(owner, new Set([uid]));
  }

  #seen(uid: string): void {
    const owner = this.#awaited.get(uid)!.owner;
    this.#awaited.delete(uid);
    const uids = this.#byOwner.get(owner);
    uids?.delete(uid);
    if (uids?.size === 0) this.#byOwner.delete(owner);
  }
}
