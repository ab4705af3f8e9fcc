import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { keyIn } from '../call.ts';
import type { Registry } from '../registry.ts';

/** An object by name: out of the cache, else, since it may be too new for the cache, out of the store. */
export type Lookup = <T extends KubeObject>(
  kind: Kind<T>,
  namespace: string,
  name: string,
) => Promise<Readonly<T> | undefined>;

export const lookupIn =
  (registry: Registry): Lookup =>
  async <T extends KubeObject>(kind: Kind<T>, namespace: string, name: string) => {
    const plain = kind as Kind<never> as Kind;
    const key = keyIn(plain, namespace, name);
    const entry = registry.feed.cache(plain).get(key) ?? (await registry.read(plain, key));
    return entry?.object as Readonly<T> | undefined;
  };
