import { Optional } from '@marcbachmann/cel-js';
import { forbiddenField, bad, duplicate, required } from '../field-error.ts';
import type { FieldError } from '../kind.ts';
import { celError, compileCel, textIn, withOptionalOldSelf, type CelProgram } from './cel.ts';
import { toCel } from './cel-values.ts';
import { isObject, memberSchema, type StructuralSchema, type ValidationRule } from './schema.ts';
import { equal } from '../../lib/equal.ts';
import { itemsBefore, memberBefore } from './correlate.ts';
import { join, typeOf } from './validate.ts';

interface CompiledRule {
  rule: ValidationRule;
  test: CelProgram;
  message: CelProgram | undefined;
  /** It asks what was there before. */
  asksOld: boolean;
  /** A rule on the change: it holds where there is no old value. */
  isTransition: boolean;
}

const compiled = new WeakMap<ValidationRule[], CompiledRule[]>();

function rulesOf({ 'x-kubernetes-validations': rules }: StructuralSchema): readonly CompiledRule[] {
  if (!rules) return [];
  const known = compiled.get(rules);
  if (known) return known;
  const made = rules.map((rule) => {
    const compile = (expression: string) =>
      compileCel(expression, rule.optionalOldSelf ? withOptionalOldSelf : undefined);
    const asksOld = /\boldSelf\b/.test(rule.rule);
    return {
      rule,
      test: compile(rule.rule),
      message: rule.messageExpression ? compile(rule.messageExpression) : undefined,
      asksOld,
      isTransition: asksOld && !rule.optionalOldSelf,
    };
  });
  compiled.set(rules, made);
  return made;
}

/** Whether any rule stands somewhere in the schema: without, nothing has to be walked. */
export function hasRules(schema: StructuralSchema): boolean {
  if (schema['x-kubernetes-validations']?.length) return true;
  const below = [...Object.values(schema.properties ?? {}), schema.items, schema.additionalProperties];
  return below.some((one) => isObject(one) && hasRules(one as StructuralSchema));
}

/**
 * What breaks the CEL rules of the schema; `old` is what was at the same place before, undefined when nothing was. What has
 * not changed may break a rule: it was there before the rule.
 */
export const validateByRules = (value: unknown, old: unknown, schema: StructuralSchema, field: string): FieldError[] =>
  brokenBelow(value, old, schema, field).map(({ error }) => error);

interface Broken {
  error: FieldError;
  rule: CompiledRule;
}

function brokenBelow(value: unknown, old: unknown, schema: StructuralSchema, field: string): Broken[] {
  const found: Broken[] = [];
  for (const rule of rulesOf(schema)) {
    const error = broken(rule, value, old, schema, field);
    if (error) found.push({ error, rule });
  }
  if (Array.isArray(value) && schema.items) {
    const before = itemsBefore(old, schema);
    for (const [i, item] of value.entries())
      found.push(...brokenBelow(item, before(item), schema.items, `${field}[${i}]`));
  } else if (isObject(value))
    for (const [name, member] of Object.entries(value)) {
      const own = memberSchema(schema, name);
      if (own !== undefined && own !== true)
        found.push(...brokenBelow(member, memberBefore(old, name), own, join(field, name)));
    }
  return found.length > 0 && equal(value, old) ? found.filter(({ rule }) => rule.asksOld) : found;
}

function broken(
  { rule, test, message, isTransition }: CompiledRule,
  value: unknown,
  old: unknown,
  schema: StructuralSchema,
  field: string,
): FieldError | undefined {
  if (isTransition && old === undefined) return undefined;
  const before = old === undefined ? undefined : toCel(old, schema);
  const variables = {
    self: toCel(value, schema),
    oldSelf: rule.optionalOldSelf ? Optional.of(before) : before,
  };
  const at = rule.fieldPath ? field + rule.fieldPath : field;
  try {
    if (test(variables) === true) return undefined;
  } catch (error) {
    return bad(at, typeOf(value), `rule evaluation failed: ${celError(error)}: ${rule.rule}`);
  }
  return refusal(at, value, told(message, variables) ?? rule.message ?? `failed rule: ${rule.rule}`, rule);
}

/** A message that cannot be made must not hide what it was to say. */
function told(message: CelProgram | undefined, variables: Record<string, unknown>): string | undefined {
  try {
    return textIn(message?.(variables));
  } catch {
    return undefined;
  }
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
