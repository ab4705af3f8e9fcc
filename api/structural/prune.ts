import { isObject, memberSchema, type StructuralSchema } from './schema.ts';

const embedded = new Set(['apiVersion', 'kind', 'metadata']);

/**
 * Takes out of `value`, in place, what the schema does not know, and tells where that was: `spec.foo`, `spec.list[0].bar`.
 * At the root and in embedded resources apiVersion, kind and metadata are always known.
 */
export function prune(value: unknown, schema: StructuralSchema, isRoot = true): string[] {
  const found: string[] = [];
  pruneAt(value, schema, isRoot, '', found);
  return found;
}

function pruneAt(value: unknown, schema: StructuralSchema, isResource: boolean, path: string, found: string[]): void {
  if (Array.isArray(value)) {
    if (schema.items) value.forEach((item, i) => pruneAt(item, schema.items!, false, `${path}[${i}]`, found));
    return;
  }
  if (!isObject(value)) return;
  const isWhole = isResource || schema['x-kubernetes-embedded-resource'] === true;
  for (const name of Object.keys(value)) {
    if (isWhole && embedded.has(name)) continue;
    const at = path === '' ? name : `${path}.${name}`;
    const own = memberSchema(schema, name);
    if (own === undefined) {
      if (schema['x-kubernetes-preserve-unknown-fields']) continue;
      found.push(at);
      delete value[name];
    } else if (own !== true) pruneAt(value[name], own, false, at, found);
  }
}
