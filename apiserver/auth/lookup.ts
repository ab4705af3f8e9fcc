import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { keyIn } from '../call.ts';
import { Entry, prefixOf } from '../encoding.ts';
import type { Feed } from '../feed.ts';
import type { Store } from '../store.ts';

/** An object by name: out of the cache, else, since it may be too new for the cache, out of the store. */
export type Lookup = <T extends KubeObject>(
  kind: Kind<T>,
  namespace: string,
  name: string,
) => Promise<Readonly<T> | undefined>;

export const lookupIn =
  (feed: Feed, store: Store): Lookup =>
  async <T extends KubeObject>(kind: Kind<T>, namespace: string, name: string) => {
    const plain = kind as Kind<never> as Kind;
    const key = keyIn(plain, namespace, name);
    const cached = feed.cache(plain).get(key);
    if (cached) return cached.object as Readonly<T>;
    const prefix = prefixOf(plain);
    const { item } = await store.get(prefix + key);
    return item && (Entry.of(item, prefix).object as Readonly<T>);
  };
