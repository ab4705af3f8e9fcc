import { bad, notSupported, required } from './field-error.ts';
import type { FieldError } from './kind.ts';
import { compareQuantities } from './quantity.ts';

/** Rules that many kinds share. Each answers what is wrong at `field`, in Kubernetes' words. */

/** A rule on every item of a list. */
export const each = <T>(
  items: readonly T[] | undefined,
  field: string,
  rule: (item: T, field: string, index: number) => FieldError[],
): FieldError[] => (items ?? []).flatMap((item, i) => rule(item, `${field}[${i}]`, i));

/** One of a few words; absent is fine. */
export const oneOf = (value: string | undefined, choices: readonly string[], field: string): FieldError[] =>
  value === undefined || choices.includes(value) ? [] : [notSupported(field, value, choices)];

/** One of a few words, and it must be there. */
export const mustBeOneOf = (value: string | undefined, choices: readonly string[], field: string): FieldError[] =>
  value ? oneOf(value, choices, field) : [required(field)];

export const atLeast = (value: number | undefined, least: number, field: string): FieldError[] =>
  value === undefined || value >= least ? [] : [bad(field, value, `must be greater than or equal to ${least}`)];

export const notNegative = (value: number | undefined, field: string): FieldError[] => atLeast(value, 0, field);

export const between = (value: number | undefined, least: number, most: number, field: string): FieldError[] =>
  value === undefined || (value >= least && value <= most)
    ? []
    : [bad(field, value, `must be between ${least} and ${most}, inclusive`)];

/** A name that keeps the rule; absent is fine. */
export const named = (value: string | undefined, check: (name: string) => string[], field: string): FieldError[] =>
  value ? check(value).map((detail) => bad(field, value, detail)) : [];

/** A name that must be there and keep the rule. */
export const mustBeNamed = (
  value: string | undefined,
  check: (name: string) => string[],
  field: string,
  detail = '',
): FieldError[] => (value ? named(value, check, field) : [required(field, detail)]);

const percentError =
  "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%', or '93%', regex used for validation is '[0-9]+%')";

/** A number of pods, or a share such as `25%`. */
export function intOrPercent(value: number | string | undefined, field: string): FieldError[] {
  if (typeof value === 'string') return /^\d+%$/.test(value) ? [] : [bad(field, value, percentError)];
  return notNegative(value, field);
}

export const atMost100Percent = (value: number | string | undefined, field: string): FieldError[] =>
  typeof value === 'string' && /^\d+%$/.test(value) && parseInt(value, 10) > 100
    ? [bad(field, value, 'must not be greater than 100%')]
    : [];

export const isZeroShare = (value: number | string | undefined): boolean => /^0+%?$/.test(String(value ?? 0));

/** An amount that is not below nothing. */
export const notNegativeAmount = (amount: string | undefined, field: string): FieldError[] =>
  amount !== undefined && compareQuantities(amount, '0') < 0
    ? [bad(field, amount, 'must be greater than or equal to 0')]
    : [];
