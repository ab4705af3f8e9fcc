import { isObject, memberSchema, type StructuralSchema } from './schema.ts';

/** Fills in, in place, the defaults that the schema declares; a null where null is not allowed is taken for absent. */
export function fillDefaults(value: unknown, schema: StructuralSchema): void {
  if (Array.isArray(value)) {
    if (schema.items) for (const item of value) fillDefaults(item, schema.items);
    return;
  }
  if (!isObject(value)) return;
  for (const [name, own] of Object.entries(schema.properties ?? {})) {
    if (own.default === undefined) continue;
    const isAbsent = !Object.hasOwn(value, name) || (value[name] === null && own.nullable !== true);
    if (isAbsent) value[name] = structuredClone(own.default);
  }
  for (const name of Object.keys(value)) {
    const own = memberSchema(schema, name);
    if (own !== undefined && own !== true) fillDefaults(value[name], own);
  }
}

/** Nulls that the schema does not allow and no default replaces go, as Go's decoder would have them. */
export function dropNulls(value: unknown, schema: StructuralSchema): void {
  if (Array.isArray(value)) {
    if (schema.items) for (const item of value) dropNulls(item, schema.items);
    return;
  }
  if (!isObject(value)) return;
  for (const name of Object.keys(value)) {
    const own = memberSchema(schema, name);
    if (own === undefined || own === true) continue;
    if (value[name] === null && own.nullable !== true && own.default !== undefined) delete value[name];
    else dropNulls(value[name], own);
  }
}
