import { RE2JS } from 're2js';
import { bad, forbiddenField, required } from '../field-error.ts';
import type { FieldError } from '../kind.ts';
import { checkCel, ruleNames } from './check-cel.ts';
import { prune } from './prune.ts';
import { isObject, type StructuralSchema } from './schema.ts';
import { validateBySchema } from './validate.ts';

const unsupported = [
  '$ref',
  '$schema',
  'definitions',
  'dependencies',
  'patternProperties',
  'additionalItems',
  'deprecated',
  'discriminator',
  'id',
  'readOnly',
  'writeOnly',
  'xml',
];
const structural = [
  'type',
  'properties',
  'additionalProperties',
  'items',
  'default',
  'nullable',
  'x-kubernetes-preserve-unknown-fields',
] as const;
const maxDepth = 100;

/** Whether a schema is structural and can be served, in Kubernetes' words; `field` is where it stands in the CRD. */
export function checkSchema(schema: StructuralSchema, field: string): FieldError[] {
  const errors: FieldError[] = [];
  if (schema.type !== 'object')
    errors.push(
      schema.type
        ? bad(`${field}.type`, schema.type, 'must be object at the root')
        : required(`${field}.type`, 'must not be empty at the root'),
    );
  if (schema.nullable) errors.push(forbiddenField(`${field}.nullable`, 'nullable cannot be true at the root'));
  if (schema.default !== undefined) errors.push(forbiddenField(`${field}.default`, 'must not be set'));
  checkNode(schema, field, errors, 0);
  return errors;
}

function checkNode(schema: StructuralSchema, field: string, errors: FieldError[], depth: number): void {
  if (depth > maxDepth)
    return void errors.push(forbiddenField(field, `must not be nested deeper than ${maxDepth} levels`));
  for (const name of unsupported)
    if (Object.hasOwn(schema, name)) errors.push(forbiddenField(`${field}.${name}`, `${name} is not supported`));
  checkType(schema, field, errors);
  checkLists(schema, field, errors);
  checkTexts(schema, field, errors);
  checkRules(schema, field, errors, depth === 0);
  checkDefault(schema, field, errors);
  for (const junctor of ['allOf', 'anyOf', 'oneOf'] as const)
    for (const [i, one] of (schema[junctor] ?? []).entries())
      checkLogical(one, `${field}.${junctor}[${i}]`, errors, depth, schema);
  if (schema.not) checkLogical(schema.not, `${field}.not`, errors, depth, schema);
  for (const [name, one] of Object.entries(schema.properties ?? {}))
    checkNode(one, `${field}.properties[${name}]`, errors, depth + 1);
  if (isObject(schema.additionalProperties))
    checkNode(schema.additionalProperties, `${field}.additionalProperties`, errors, depth + 1);
  if (isObject(schema.items)) checkNode(schema.items, `${field}.items`, errors, depth + 1);
}

const types = ['array', 'boolean', 'integer', 'number', 'object', 'string'];

function checkType(schema: StructuralSchema, field: string, errors: FieldError[]): void {
  const isFree = schema['x-kubernetes-int-or-string'] || schema['x-kubernetes-preserve-unknown-fields'];
  if (!schema.type && !isFree) errors.push(required(`${field}.type`, 'must not be empty for specified object fields'));
  if (schema.type && !types.includes(schema.type))
    errors.push({
      type: 'NotSupported',
      field: `${field}.type`,
      value: schema.type,
      detail: `supported values: ${types.map((t) => `"${t}"`).join(', ')}`,
    });
  if (schema['x-kubernetes-int-or-string'] && schema.type)
    errors.push(forbiddenField(`${field}.type`, 'must be empty if x-kubernetes-int-or-string is true'));
  if (schema.properties && Object.keys(schema.properties).length > 0 && schema.additionalProperties !== undefined)
    errors.push(
      forbiddenField(`${field}.additionalProperties`, 'additionalProperties and properties are mutual exclusive'),
    );
  if (schema.additionalProperties === false)
    errors.push(forbiddenField(`${field}.additionalProperties`, 'additionalProperties cannot be set to false'));
  if (schema.type === 'array' && !schema.items) errors.push(required(`${field}.items`, 'must be specified'));
  if (Array.isArray(schema.items))
    errors.push(forbiddenField(`${field}.items`, 'items must be a schema object and not an array'));
  if (schema.uniqueItems)
    errors.push(
      forbiddenField(
        `${field}.uniqueItems`,
        'uniqueItems cannot be set to true since the runtime complexity becomes quadratic',
      ),
    );
  if (schema['x-kubernetes-embedded-resource'] && schema.type !== 'object')
    errors.push(bad(`${field}.type`, schema.type ?? '', 'must be object if x-kubernetes-embedded-resource is true'));
}

/** Below allOf, anyOf, oneOf and not only value validation may stand, of what is specified outside of them. */
function checkLogical(
  schema: StructuralSchema,
  field: string,
  errors: FieldError[],
  depth: number,
  outside: StructuralSchema,
): void {
  for (const name of structural) {
    if (name === 'properties' || name === 'items' || name === 'additionalProperties') continue;
    const isIntOrString = name === 'type' && outside['x-kubernetes-int-or-string'];
    if (schema[name] !== undefined && !isIntOrString)
      errors.push(forbiddenField(`${field}.${name}`, 'must be empty to be structural'));
  }
  if (depth > maxDepth) return;
  for (const [name, one] of Object.entries(schema.properties ?? {})) {
    const own = outside.properties?.[name];
    if (!own)
      errors.push(
        required(
          `${field.replace(/\.(allOf|anyOf|oneOf)\[\d+\]$|\.not$/, '')}.properties[${name}]`,
          `because it is defined in ${field}.properties[${name}]`,
        ),
      );
    else checkLogical(one, `${field}.properties[${name}]`, errors, depth + 1, own);
  }
}

function checkLists(schema: StructuralSchema, field: string, errors: FieldError[]): void {
  const type = schema['x-kubernetes-list-type'];
  const keys = schema['x-kubernetes-list-map-keys'];
  if (type !== undefined && schema.type !== 'array')
    errors.push(
      schema.type
        ? bad(`${field}.type`, schema.type, 'must be array if x-kubernetes-list-type is specified')
        : required(`${field}.type`, 'must be array if x-kubernetes-list-type is specified'),
    );
  if (type !== undefined && !['atomic', 'set', 'map'].includes(type))
    errors.push({
      type: 'NotSupported',
      field: `${field}.x-kubernetes-list-type`,
      value: type,
      detail: 'supported values: "atomic", "map", "set"',
    });
  if (keys && type !== 'map')
    errors.push(
      bad(`${field}.x-kubernetes-list-type`, type ?? '', 'must be map if x-kubernetes-list-map-keys is non-empty'),
    );
  if (type !== 'map') return;
  if (!keys?.length)
    errors.push(required(`${field}.x-kubernetes-list-map-keys`, 'must not be empty if x-kubernetes-list-type is map'));
  for (const [i, key] of (keys ?? []).entries()) {
    const own = schema.items?.properties?.[key];
    if (!own)
      errors.push(bad(`${field}.x-kubernetes-list-map-keys[${i}]`, key, 'must be the name of an item property'));
    else if (own.default === undefined && !schema.items?.required?.includes(key))
      errors.push(
        required(
          `${field}.items.properties[${key}].default`,
          'this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property',
        ),
      );
  }
}

function checkTexts(schema: StructuralSchema, field: string, errors: FieldError[]): void {
  if (schema.pattern !== undefined && !compiles(() => RE2JS.compile(schema.pattern!)))
    errors.push(bad(`${field}.pattern`, schema.pattern, "must be a valid regular expression, but isn't"));
}

function checkRules(schema: StructuralSchema, field: string, errors: FieldError[], isRoot: boolean): void {
  for (const [i, one] of (schema['x-kubernetes-validations'] ?? []).entries()) {
    const { rule, messageExpression, message } = one;
    const at = `${field}.x-kubernetes-validations[${i}]`;
    const names = ruleNames(schema, one, isRoot);
    if (!rule?.trim()) errors.push(required(`${at}.rule`, 'rule is not specified'));
    else errors.push(...checkCel(rule, `${at}.rule`, names, ['bool'], 'cel expression must evaluate to a bool'));
    if (messageExpression)
      errors.push(
        ...checkCel(
          messageExpression,
          `${at}.messageExpression`,
          names,
          ['string'],
          'messageExpression must evaluate to a string',
        ),
      );
    if (message !== undefined && !message.trim() && message !== '')
      errors.push(bad(`${at}.message`, message, 'message must be non-empty if specified'));
  }
}

function compiles(make: () => unknown): boolean {
  try {
    make();
    return true;
  } catch {
    return false;
  }
}

function checkDefault(schema: StructuralSchema, field: string, errors: FieldError[]): void {
  if (schema.default === undefined) return;
  const value = structuredClone(schema.default);
  const lost = prune(value, schema, false);
  if (lost.length > 0)
    errors.push(bad(`${field}.default`, schema.default, `must not have unknown fields: ${lost.join(', ')}`));
  for (const error of validateBySchema(schema.default, schema, `${field}.default`)) errors.push(error);
}
