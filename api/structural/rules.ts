import { forbiddenField, bad, duplicate, required } from '../field-error.ts';
import type { FieldError } from '../kind.ts';
import { celError, celText, compileCel, type CelProgram } from './cel.ts';
import { toCel } from './cel-values.ts';
import { isObject, memberSchema, type StructuralSchema, type ValidationRule } from './schema.ts';
import { elementKey } from './correlate.ts';
import { join, typeOf } from './validate.ts';

interface CompiledRule {
  rule: ValidationRule;
  test: CelProgram;
  message: CelProgram | undefined;
  /** A rule on the change: it holds where there is no old value. */
  isTransition: boolean;
}

const compiled = new WeakMap<ValidationRule[], CompiledRule[]>();

function rulesOf({ 'x-kubernetes-validations': rules }: StructuralSchema): readonly CompiledRule[] {
  if (!rules) return [];
  const known = compiled.get(rules);
  if (known) return known;
  const made = rules.map((rule) => ({
    rule,
    test: compileCel(rule.rule),
    message: rule.messageExpression ? compileCel(rule.messageExpression) : undefined,
    isTransition: /\boldSelf\b/.test(rule.rule) && !rule.optionalOldSelf,
  }));
  compiled.set(rules, made);
  return made;
}

/** Whether any rule stands somewhere in the schema: without, nothing has to be walked. */
export function hasRules(schema: StructuralSchema): boolean {
  if (schema['x-kubernetes-validations']?.length) return true;
  const below = [...Object.values(schema.properties ?? {}), schema.items, schema.additionalProperties];
  return below.some((one) => isObject(one) && hasRules(one as StructuralSchema));
}

/** What breaks the CEL rules of the schema; `old` is what was at the same place before, undefined when nothing was. */
export function validateByRules(value: unknown, old: unknown, schema: StructuralSchema, field: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const rule of rulesOf(schema)) {
    const error = broken(rule, value, old, schema, field);
    if (error) errors.push(error);
  }
  if (Array.isArray(value) && schema.items) {
    const before = byKey(old, schema);
    for (const [i, item] of value.entries())
      errors.push(...validateByRules(item, before.get(elementKey(item, schema) ?? ''), schema.items, `${field}[${i}]`));
  } else if (isObject(value))
    for (const [name, member] of Object.entries(value)) {
      const own = memberSchema(schema, name);
      if (own !== undefined && own !== true)
        errors.push(...validateByRules(member, isObject(old) ? old[name] : undefined, own, join(field, name)));
    }
  return errors;
}

/** Items of a list that is a map by its keys are the same item as before; those of other lists are not compared. */
function byKey(old: unknown, schema: StructuralSchema): Map<string, unknown> {
  const items = new Map<string, unknown>();
  if (Array.isArray(old))
    for (const item of old) {
      const key = elementKey(item, schema);
      if (key !== undefined) items.set(key, item);
    }
  return items;
}

function broken(
  { rule, test, message, isTransition }: CompiledRule,
  value: unknown,
  old: unknown,
  schema: StructuralSchema,
  field: string,
): FieldError | undefined {
  if (isTransition && old === undefined) return undefined;
  const variables = {
    self: toCel(value, schema),
    ...(old === undefined ? {} : { oldSelf: toCel(old, schema) }),
  };
  const at = rule.fieldPath ? field + rule.fieldPath : field;
  try {
    if (test(variables) === true) return undefined;
  } catch (error) {
    return bad(at, typeOf(value), `rule evaluation failed: ${celError(error)}: ${rule.rule}`);
  }
  return refusal(at, value, celText(message, variables) ?? rule.message ?? `failed rule: ${rule.rule}`, rule);
}

function refusal(field: string, value: unknown, text: string, { reason }: ValidationRule): FieldError {
  switch (reason) {
    case 'FieldValueForbidden':
      return forbiddenField(field, text);
    case 'FieldValueRequired':
      return required(field, text);
    case 'FieldValueDuplicate':
      return duplicate(field, value);
    default:
      return bad(field, typeOf(value), text);
  }
}
