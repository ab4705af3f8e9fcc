import { shownFrom, type Kind } from '../api/kind.ts';
import type { KubeObject } from '../api/meta.ts';
import { encode, Entry } from './encoding.ts';

/**
 * Entries of the store as `kind` shows them: as they are, or in the form that it makes of them, once for each entry. A
 * promise only where the conversion is one.
 */
export function served(kind: Kind, entries: readonly Entry[]): readonly Entry[] | Promise<readonly Entry[]> {
  const show = shownFrom(kind);
  if (!show) return entries;
  const missing = entries.filter((entry) => !entry.shownAs(kind));
  const done = () => entries.map((entry) => entry.shownAs(kind)!);
  if (missing.length === 0) return done();
  const made = show(missing.map((entry) => entry.copy()));
  const keep = (objects: readonly KubeObject[]) => {
    for (const [i, entry] of missing.entries())
      entry.keepShown(kind, new Entry(entry.key, entry.revision, encode(kind, objects[i]!), entry.stale));
    return done();
  };
  return made instanceof Promise ? made.then(keep) : keep(made);
}

/** One object on its way into the store. */
export async function toStored(kind: Kind, object: KubeObject): Promise<KubeObject> {
  kind.defaults?.(object);
  return kind.storage ? (await kind.storage.toStored([object]))[0]! : object;
}
