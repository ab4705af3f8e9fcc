import { type KubeObject, type Stored, keyOf } from '../../api/meta.ts';
import type { Informer } from '../../client/informer.ts';

/** How long a cache is waited for, ms: an object that came and went between two looks is never seen. */
const patience = 5_000;

/** What we wrote and the cache does not show yet: who decides by it in between makes things twice. */
export class OwnWrites<T extends KubeObject> {
  readonly #cache: Informer<T>;
  readonly #now: () => number;
  /** By what was worked on: the objects written, their versions and when. */
  readonly #written = new Map<string, Map<string, { version: bigint; at: number }>>();

  constructor(cache: Informer<T>, now: () => number) {
    this.#cache = cache;
    this.#now = now;
  }

  note(key: string, object: KubeObject & Stored): void {
    const known = this.#written.get(key) ?? new Map<string, { version: bigint; at: number }>();
    known.set(keyOf(object), { version: BigInt(object.metadata.resourceVersion), at: this.#now() });
    this.#written.set(key, known);
  }

  /** True when the cache shows everything that was written for the key, or it was waited for long enough. */
  seen(key: string): boolean {
    const known = this.#written.get(key);
    if (!known) return true;
    for (const [name, { version, at }] of known) {
      const cached = this.#cache.get(name);
      const shown = cached && BigInt(cached.metadata.resourceVersion) >= version;
      if (shown || this.#now() - at > patience) known.delete(name);
    }
    if (known.size === 0) this.#written.delete(key);
    return known.size === 0;
  }

  /** The object is gone: it will not be seen again. */
  forget(key: string, object: KubeObject & Stored): void {
    this.#written.get(key)?.delete(keyOf(object));
  }
}
