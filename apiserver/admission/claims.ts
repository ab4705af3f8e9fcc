import type { Store } from '../store.ts';

/** A request that was given a candidate has claimed it by then, or never will. Milliseconds. */
const candidateMs = 10_000;

/**
 * What is unique in the cluster: each one taken is a key of its own in the store, created only if it is not there, so that no
 * two apiservers ever give out the same.
 */
export class Claims {
  readonly #store: Store;
  /** Key → when it may be offered again; in the order of those times. */
  readonly #offered = new Map<string, number>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** True when nobody holds the key, and no request of this server was offered it. */
  async isFree(key: string): Promise<boolean> {
    return this.offer(key) && !(await this.isHeld(key));
  }

  /** A key is offered to one request at a time, so that two at once do not run for the same. */
  offer(key: string): boolean {
    const now = Date.now();
    for (const [old, until] of this.#offered) {
      if (until > now) break;
      this.#offered.delete(old);
    }
    if (this.#offered.has(key)) return false;
    this.#offered.set(key, now + candidateMs);
    return true;
  }

  async isHeld(key: string): Promise<boolean> {
    return (await this.#store.get(key)).item !== undefined;
  }

  /** False when somebody else holds it. */
  async take(key: string, value: Uint8Array): Promise<boolean> {
    return (await this.#store.put(key, value, 0)).ok;
  }

  async drop(key: string): Promise<void> {
    const { item } = await this.#store.get(key);
    if (item) await this.#store.delete(key, item.revision);
  }
}
