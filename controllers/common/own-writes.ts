import { type KubeObject, type Stored, keyOf } from '../../api/meta.ts';
import type { Informer } from '../../client/informer.ts';

/** Milliseconds after which a write that the cache never showed is no longer waited for. */
const patience = 30_000;

/** To be answered by a reconcile whose writes are not seen yet: their changes wake it, and this if one was never told. */
export const unseen = { again: 1_000 } as const;

/**
 * What a controller has written that its cache does not show yet. While something is outstanding for a key the cache is known
 * to be old, and who counts by it makes or deletes things twice.
 */
export class OwnWrites<T extends KubeObject> {
  readonly #cache: Informer<T>;
  readonly #now: () => number;
  readonly #awaited = new Map<string, { isShown: () => boolean; until: number }[]>();

  constructor(cache: Informer<T>, now: () => number) {
    this.#cache = cache;
    this.#now = now;
  }

  /** `written` is the server's answer to a create or an update. By the time it is here others may have deleted it again. */
  note(key: string, written: KubeObject & Stored): void {
    const { resourceVersion } = written.metadata;
    this.#await(key, () => this.#cache.isAsNewAs(resourceVersion));
  }

  noteDeleted(key: string, object: T & Stored): void {
    this.#await(key, () => {
      const cached = this.#cache.get(keyOf(object));
      return cached?.metadata.uid !== object.metadata.uid || cached.metadata.deletionTimestamp !== undefined;
    });
  }

  /** True when the cache shows everything that was written for the key, or it was waited for long enough. */
  seen(key: string): boolean {
    const awaited = this.#awaited.get(key);
    if (!awaited) return true;
    const at = awaited.findIndex(({ isShown, until }) => !isShown() && this.#now() <= until);
    if (at < 0) this.#awaited.delete(key);
    else awaited.splice(0, at);
    return at < 0;
  }

  #await(key: string, isShown: () => boolean): void {
    if (isShown()) return;
    this.#forgetOld();
    const one = { isShown, until: this.#now() + patience };
    const others = this.#awaited.get(key);
    if (others) others.push(one);
    else this.#awaited.set(key, [one]);
  }

  /** Nobody asks any more about owners that are gone; those noted first are the first to be over. */
  #forgetOld(): void {
    for (const [key, awaited] of this.#awaited) {
      if (this.#now() <= awaited.at(-1)!.until) return;
      this.#awaited.delete(key);
    }
  }
}
