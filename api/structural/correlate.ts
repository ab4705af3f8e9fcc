import { isObject, type StructuralSchema } from './schema.ts';

/** What an item of a list is known by from one version of an object to the next; undefined where order is all there is. */
function elementKey(item: unknown, schema: StructuralSchema): string | undefined {
  if (schema['x-kubernetes-list-type'] !== 'map' || !isObject(item)) return undefined;
  return JSON.stringify((schema['x-kubernetes-list-map-keys'] ?? []).map((key) => item[key] ?? null));
}

/** Finds what an item of a list was before. Items of lists that are no maps are not compared: they were nothing. */
export function itemsBefore(old: unknown, schema: StructuralSchema): (item: unknown) => unknown {
  const items = new Map<string, unknown>();
  for (const item of Array.isArray(old) ? old : []) {
    const key = elementKey(item, schema);
    if (key !== undefined) items.set(key, item);
  }
  return (item) => items.get(elementKey(item, schema) ?? '');
}

/** What a member was before; undefined where there was none. */
export const memberBefore = (old: unknown, name: string): unknown =>
  isObject(old) && Object.hasOwn(old, name) ? old[name] : undefined;
