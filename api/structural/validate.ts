import { RE2JS } from 're2js';
import { bad, duplicate, notSupported, required, tooLong, tooMany } from '../field-error.ts';
import type { FieldError } from '../kind.ts';
import { equal } from '../../lib/equal.ts';
import { itemsBefore, memberBefore } from './correlate.ts';
import { hasFormat } from './formats.ts';
import { isObject, memberSchema, type StructuralSchema } from './schema.ts';

/**
 * What breaks the schema, in Kubernetes' words and with its paths. What has not changed from `old` may break it: it was there
 * before the schema. https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-ratcheting
 */
export function validateBySchema(value: unknown, schema: StructuralSchema, field: string, old?: unknown): FieldError[] {
  const errors = broken(value, schema, field, old);
  return errors.length > 0 && old !== undefined && equal(value, old) ? [] : errors;
}

function broken(value: unknown, schema: StructuralSchema, field: string, old: unknown): FieldError[] {
  if (value === null && schema.nullable) return [];
  const type = typeOf(value);
  const wanted = schema['x-kubernetes-int-or-string'] ? ['integer', 'string'] : schema.type ? [schema.type] : [];
  if (wanted.length > 0 && !wanted.some((one) => one === type || (one === 'number' && type === 'integer'))) {
    const shown = value === null ? 'null' : type;
    return [bad(field, shown, `${field} in body must be of type ${wanted.join(',')}: ${JSON.stringify(shown)}`)];
  }
  return [...ofType(value, schema, field, old), ...enumErrors(value, schema, field), ...combined(value, schema, field)];
}

export function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

function ofType(value: unknown, schema: StructuralSchema, field: string, old: unknown): FieldError[] {
  if (typeof value === 'string') return stringErrors(value, schema, field);
  if (typeof value === 'number') return numberErrors(value, schema, field);
  if (Array.isArray(value)) return arrayErrors(value, schema, field, old);
  return isObject(value) ? objectErrors(value, schema, field, old) : [];
}

function enumErrors(value: unknown, { enum: choices }: StructuralSchema, field: string): FieldError[] {
  if (!choices || choices.some((choice) => equal(choice, value))) return [];
  return [notSupported(field, value, choices.map(String))];
}

function stringErrors(value: string, schema: StructuralSchema, field: string): FieldError[] {
  const { minLength, maxLength, format } = schema;
  const length = [...value].length;
  const errors: FieldError[] = [];
  if (maxLength !== undefined && length > maxLength) errors.push(tooLong(field, maxLength));
  if (minLength !== undefined && length < minLength)
    errors.push(bad(field, value, `${field} in body should be at least ${minLength} chars long`));
  if (schema.pattern !== undefined && !pattern(schema.pattern).matcher(value).find())
    errors.push(bad(field, value, `${field} in body should match '${schema.pattern}'`));
  if (format !== undefined && !hasFormat(format, value))
    errors.push(bad(field, value, `${field} in body must be of type ${format}: ${JSON.stringify(value)}`));
  return errors;
}

const patterns = new Map<string, RE2JS>();

/** Compiled once, and matched in linear time: patterns are written by some users, texts by others. */
function pattern(text: string): RE2JS {
  let known = patterns.get(text);
  if (!known) {
    if (patterns.size > 10_000) patterns.clear();
    patterns.set(text, (known = RE2JS.compile(text)));
  }
  return known;
}

function numberErrors(value: number, schema: StructuralSchema, field: string): FieldError[] {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf, format } = schema;
  const errors: FieldError[] = [];
  if (minimum !== undefined && (exclusiveMinimum ? value <= minimum : value < minimum))
    errors.push(
      bad(field, value, `${field} in body should be greater than ${exclusiveMinimum ? '' : 'or equal to '}${minimum}`),
    );
  if (maximum !== undefined && (exclusiveMaximum ? value >= maximum : value > maximum))
    errors.push(
      bad(field, value, `${field} in body should be less than ${exclusiveMaximum ? '' : 'or equal to '}${maximum}`),
    );
  if (multipleOf !== undefined && !Number.isInteger(value / multipleOf))
    errors.push(bad(field, value, `${field} in body should be a multiple of ${multipleOf}`));
  if (format === 'int32' && (value > 2147483647 || value < -2147483648))
    errors.push(bad(field, value, `${field} in body must be of type int32: "${value}"`));
  return errors;
}

function arrayErrors(list: unknown[], schema: StructuralSchema, field: string, old: unknown): FieldError[] {
  const { minItems, maxItems, uniqueItems, items } = schema;
  const errors: FieldError[] = [];
  if (minItems !== undefined && list.length < minItems)
    errors.push(bad(field, list.length, `${field} in body should have at least ${minItems} items`));
  if (maxItems !== undefined && list.length > maxItems) errors.push(tooMany(field, list.length, maxItems));
  if (uniqueItems && list.some((item, i) => list.slice(0, i).some((other) => equal(item, other))))
    errors.push(bad(field, list, `${field} in body shouldn't contain duplicates`));
  errors.push(...keyErrors(list, schema, field));
  const before = itemsBefore(old, schema);
  if (items)
    for (const [i, item] of list.entries())
      errors.push(...validateBySchema(item, items, `${field}[${i}]`, before(item)));
  return errors;
}

/** Items of sets, and items of maps by their keys, must differ. */
function keyErrors(list: unknown[], schema: StructuralSchema, field: string): FieldError[] {
  const keys = schema['x-kubernetes-list-map-keys'];
  const type = schema['x-kubernetes-list-type'];
  if (type !== 'set' && !(type === 'map' && keys)) return [];
  const seen = new Set<string>();
  const errors: FieldError[] = [];
  for (const [i, item] of list.entries()) {
    const id =
      type === 'set'
        ? item
        : Object.fromEntries((keys ?? []).map((key) => [key, isObject(item) ? item[key] : undefined]));
    const text = JSON.stringify(id);
    if (seen.has(text)) errors.push(duplicate(`${field}[${i}]`, id));
    seen.add(text);
  }
  return errors;
}

function objectErrors(
  object: Record<string, unknown>,
  schema: StructuralSchema,
  field: string,
  old: unknown,
): FieldError[] {
  const { minProperties, maxProperties } = schema;
  const count = Object.keys(object).length;
  const errors: FieldError[] = [];
  for (const name of schema.required ?? []) if (!Object.hasOwn(object, name)) errors.push(required(join(field, name)));
  if (minProperties !== undefined && count < minProperties)
    errors.push(bad(field, count, `${field} in body should have at least ${minProperties} properties`));
  if (maxProperties !== undefined && count > maxProperties) errors.push(tooMany(field, count, maxProperties));
  for (const [name, value] of Object.entries(object)) {
    const own = memberSchema(schema, name);
    if (own !== undefined && own !== true)
      errors.push(...validateBySchema(value, own, join(field, name), memberBefore(old, name)));
  }
  return errors;
}

export const join = (field: string, name: string): string => (field === '' ? name : `${field}.${name}`);

function combined(value: unknown, schema: StructuralSchema, field: string): FieldError[] {
  const holds = (one: StructuralSchema) => validateBySchema(value, one, field).length === 0;
  const errors: FieldError[] = [];
  for (const one of schema.allOf ?? []) errors.push(...validateBySchema(value, one, field));
  if (schema.anyOf && !schema.anyOf.some(holds))
    errors.push(bad(field, value, `${field} in body must validate at least one schema (anyOf)`));
  if (schema.oneOf && schema.oneOf.filter(holds).length !== 1)
    errors.push(bad(field, value, `${field} in body must validate one and only one schema (oneOf)`));
  if (schema.not && holds(schema.not))
    errors.push(bad(field, value, `${field} in body must not validate the schema (not)`));
  return errors;
}
