import { resolve, type Schema } from '../../api/schema.ts';
import { isRecord, type Json } from '../patch/json.ts';

/** How a value is owned: as one piece, field by field, or item by item. */
export type Shape =
  | { as: 'leaf' }
  | { as: 'map'; schema: Schema | undefined }
  | { as: 'list'; schema: Schema | undefined; keys: readonly string[] | undefined };

const leaf: Shape = { as: 'leaf' };

/**
 * The shape of a value under a schema: maps are granular and lists are atomic unless the schema says otherwise;
 * without a schema, as below x-kubernetes-preserve-unknown-fields, the same holds of what is there.
 */
export function shapeOf(schema: Schema | undefined, value: unknown): Shape {
  const own = resolve(schema);
  if (isRecord(value)) return isAtomicMap(schema, own) ? leaf : { as: 'map', schema: own };
  if (!Array.isArray(value)) return leaf;
  const type = schema?.['x-kubernetes-list-type'] ?? own?.['x-kubernetes-list-type'];
  if (type === 'set') return { as: 'list', schema: own?.items, keys: undefined };
  const keys = schema?.['x-kubernetes-list-map-keys'] ?? own?.['x-kubernetes-list-map-keys'];
  return type === 'map' && keys ? { as: 'list', schema: own?.items, keys } : leaf;
}

function isAtomicMap(schema: Schema | undefined, own: Schema | undefined): boolean {
  if ((schema?.['x-kubernetes-map-type'] ?? own?.['x-kubernetes-map-type']) === 'atomic') return true;
  if (!own || own['x-kubernetes-preserve-unknown-fields']) return false;
  // A RawExtension: somebody else's object, of which nothing is known.
  return own.type === 'object' && !own.properties && !own.additionalProperties;
}

/** The schema of a field, and whether the schema names it: fields of structs are, keys of maps are not. */
export function fieldOf(schema: Schema | undefined, name: string): { schema: Schema | undefined; isNamed: boolean } {
  const { properties } = schema ?? {};
  if (properties && Object.hasOwn(properties, name)) return { schema: properties[name], isNamed: true };
  return { schema: schema?.additionalProperties, isNamed: false };
}

/** The path element of a list's item; undefined when it lacks a key that has no default. */
export function elementOf(item: unknown, items: Schema | undefined, keys: readonly string[] | undefined) {
  if (!keys) return `v:${JSON.stringify(item)}`;
  if (!isRecord(item)) return undefined;
  const { properties } = resolve(items) ?? {};
  const found: Json = {};
  for (const key of [...keys].sort()) {
    const value = item[key] ?? properties?.[key]?.default;
    if (value === undefined) return undefined;
    found[key] = value;
  }
  return `k:${JSON.stringify(found)}`;
}

/** A Go struct that is no pointer is always there, empty if nothing is said; the schema shows it by its default. */
export const isAlwaysThere = (schema: Schema | undefined): boolean =>
  isRecord(schema?.default) && Object.keys(schema.default).length === 0;
