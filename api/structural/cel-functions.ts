import type { Environment } from '@marcbachmann/cel-js';
import { isIP } from 'node:net';
import { RE2JS } from 're2js';
import { equal } from '../../lib/equal.ts';
import { canonicalQuantity, isQuantity, parseNano } from '../quantity.ts';

/** What Kubernetes adds to CEL: https://kubernetes.io/docs/reference/using-api/cel/#cel-options-language-features-and-libraries */
export function registerKubernetesFunctions(environment: Environment): Environment {
  return jsonPatches(quantities(texts(sets(lists(environment)))));
}

const less = (a: unknown, b: unknown): boolean => (a as number) < (b as number);
type Summable = number & bigint;

function lists(environment: Environment): Environment {
  return environment
    .registerFunction('list.isSorted(): bool', (list: unknown[]) =>
      list.every((item, i) => i === 0 || !less(item, list[i - 1])),
    )
    .registerFunction('list.sum(): dyn', (list: Summable[]) =>
      list.length === 0 ? 0n : list.slice(1).reduce((a, b) => (a + b) as Summable, list[0]!),
    )
    .registerFunction('list.min(): dyn', (list: unknown[]) => extreme(list, less))
    .registerFunction('list.max(): dyn', (list: unknown[]) => extreme(list, (a, b) => less(b, a)))
    .registerFunction('list.indexOf(dyn): int', (list: unknown[], item: unknown) =>
      BigInt(list.findIndex((one) => equal(one, item))),
    )
    .registerFunction('list.lastIndexOf(dyn): int', (list: unknown[], item: unknown) =>
      BigInt(list.findLastIndex((one) => equal(one, item))),
    );
}

function extreme(list: unknown[], before: (a: unknown, b: unknown) => boolean): unknown {
  if (list.length === 0) throw new Error('min and max of an empty list are not defined');
  return list.reduce((best, item) => (before(item, best) ? item : best));
}

function sets(environment: Environment): Environment {
  const has = (list: unknown[], item: unknown) => list.some((one) => equal(one, item));
  const contains = (a: unknown[], b: unknown[]) => b.every((item) => has(a, item));
  class Sets {}
  return environment
    .registerType('kubernetes.Sets', { ctor: Sets, fields: {} })
    .registerConstant('sets', 'kubernetes.Sets', new Sets())
    .registerFunction('kubernetes.Sets.contains(list, list): bool', (_: Sets, a: unknown[], b: unknown[]) =>
      contains(a, b),
    )
    .registerFunction(
      'kubernetes.Sets.equivalent(list, list): bool',
      (_: Sets, a: unknown[], b: unknown[]) => contains(a, b) && contains(b, a),
    )
    .registerFunction('kubernetes.Sets.intersects(list, list): bool', (_: Sets, a: unknown[], b: unknown[]) =>
      b.some((item) => has(a, item)),
    );
}

const isCidr = (text: string): boolean => /^[^/]+\/\d{1,3}$/.test(text) && isIP(text.split('/')[0]!) !== 0;

function texts(environment: Environment): Environment {
  return environment
    .registerFunction(
      'string.find(string): string',
      (text: string, pattern: string) => matchesOf(text, pattern)[0] ?? '',
    )
    .registerFunction('string.findAll(string): list', (text: string, pattern: string) => matchesOf(text, pattern))
    .registerFunction('string.findAll(string, int): list', (text: string, pattern: string, limit: bigint) =>
      matchesOf(text, pattern).slice(0, limit < 0n ? undefined : Number(limit)),
    )
    .registerFunction('string.replace(string, string): string', (text: string, from: string, to: string) =>
      text.replaceAll(from, to),
    )
    .registerFunction(
      'string.replace(string, string, int): string',
      (text: string, from: string, to: string, times: bigint) =>
        times < 0n ? text.replaceAll(from, to) : replaceSome(text, from, to, Number(times)),
    )
    .registerFunction('string.charAt(int): string', (text: string, at: bigint) => [...text][Number(at)] ?? '')
    .registerFunction('string.format(list): string', format)
    .registerFunction('isURL(string): bool', (text: string) => URL.canParse(text))
    .registerFunction('isIP(string): bool', (text: string) => isIP(text) !== 0)
    .registerFunction('isCIDR(string): bool', isCidr);
}

function matchesOf(text: string, pattern: string): string[] {
  const matcher = RE2JS.compile(pattern).matcher(text);
  const found: string[] = [];
  while (matcher.find()) found.push(matcher.group() ?? '');
  return found;
}

function replaceSome(text: string, from: string, to: string, times: number): string {
  let out = text;
  let at = 0;
  for (let i = 0; i < times; i++) {
    const found = out.indexOf(from, at);
    if (found < 0) break;
    out = out.slice(0, found) + to + out.slice(found + from.length);
    at = found + to.length;
  }
  return out;
}

/** `%s`, `%d`, `%b`, `%x`, `%X`, `%o`, `%e`, `%f` and `%%`, with a precision for the last two numbers. */
function format(template: string, values: unknown[]): string {
  let at = 0;
  return template.replace(/%(\.\d+)?([sdbxXoef%])/g, (_all, precision: string | undefined, verb: string) => {
    if (verb === '%') return '%';
    if (at >= values.length) throw new Error(`index ${at} out of range`);
    return formatOne(values[at++], verb, precision === undefined ? 6 : Number(precision.slice(1)));
  });
}

function formatOne(value: unknown, verb: string, digits: number): string {
  const radix: Record<string, number> = { b: 2, o: 8, x: 16, X: 16 };
  if (verb === 'f') return Number(value).toFixed(digits);
  if (verb === 'e') return Number(value).toExponential(digits);
  if (radix[verb] && (typeof value === 'bigint' || typeof value === 'number')) {
    const text = value.toString(radix[verb]);
    return verb === 'X' ? text.toUpperCase() : text;
  }
  if (value instanceof Date) return value.toISOString().replace(/\.000Z$/, 'Z');
  if (Array.isArray(value)) return `[${value.map((item) => formatOne(item, 's', digits)).join(', ')}]`;
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** A quantity as CEL's `quantity()` makes it. */
class Quantity {
  readonly nano: bigint;
  constructor(nano: bigint) {
    this.nano = nano;
  }
}

function quantities(environment: Environment): Environment {
  const compared = (test: (a: bigint, b: bigint) => unknown) => (a: Quantity, b: Quantity) => test(a.nano, b.nano);
  const one = 'kubernetes.Quantity';
  return environment
    .registerType(one, { ctor: Quantity, fields: {} })
    .registerFunction('isQuantity(string): bool', (text: string) => isQuantity(text))
    .registerFunction(`quantity(string): ${one}`, (text: string) => new Quantity(parseNano(canonicalQuantity(text))))
    .registerFunction(
      `${one}.isGreaterThan(${one}): bool`,
      compared((a, b) => a > b),
    )
    .registerFunction(
      `${one}.isLessThan(${one}): bool`,
      compared((a, b) => a < b),
    )
    .registerFunction(
      `${one}.compareTo(${one}): int`,
      compared((a, b) => (a < b ? -1n : a > b ? 1n : 0n)),
    )
    .registerFunction(
      `${one}.add(${one}): ${one}`,
      compared((a, b) => new Quantity(a + b)),
    )
    .registerFunction(
      `${one}.sub(${one}): ${one}`,
      compared((a, b) => new Quantity(a - b)),
    )
    .registerFunction(`${one}.sign(): int`, ({ nano }: Quantity) => (nano < 0n ? -1n : nano > 0n ? 1n : 0n))
    .registerFunction(`${one}.isInteger(): bool`, ({ nano }: Quantity) => nano % 1_000_000_000n === 0n)
    .registerFunction(`${one}.asInteger(): int`, ({ nano }: Quantity) => nano / 1_000_000_000n)
    .registerFunction(`${one}.asApproximateFloat(): double`, ({ nano }: Quantity) => Number(nano) / 1e9);
}

/** https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/#jsonpatch */
function jsonPatches(environment: Environment): Environment {
  class JsonPatches {}
  return environment
    .registerType('kubernetes.JsonPatches', { ctor: JsonPatches, fields: {} })
    .registerConstant('jsonpatch', 'kubernetes.JsonPatches', new JsonPatches())
    .registerFunction('kubernetes.JsonPatches.escapeKey(string): string', (_: JsonPatches, key: string) =>
      key.replaceAll('~', '~0').replaceAll('/', '~1'),
    );
}
