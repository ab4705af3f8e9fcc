import { isObject, type StructuralSchema } from './schema.ts';

/** What an item of a list is known by from one version of an object to the next; undefined where order is all there is. */
export function elementKey(item: unknown, schema: StructuralSchema): string | undefined {
  if (schema['x-kubernetes-list-type'] !== 'map' || !isObject(item)) return undefined;
  return JSON.stringify((schema['x-kubernetes-list-map-keys'] ?? []).map((key) => item[key] ?? null));
}
