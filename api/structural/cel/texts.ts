import type { Environment } from '@marcbachmann/cel-js';
import { define, defineNamespace } from './define.ts';

/** What the library lacks of https://pkg.go.dev/github.com/google/cel-go/ext#Strings, version 2 */
export function texts(environment: Environment): void {
  define(environment, {
    'string.replace(string, string): string': (text: string, from: string, to: string) => text.replaceAll(from, to),
    'string.replace(string, string, int): string': (text: string, from: string, to: string, times: bigint) =>
      times < 0n ? text.replaceAll(from, to) : replaceSome(text, from, to, Number(times)),
    'string.charAt(int): string': (text: string, at: bigint) => [...text][Number(at)] ?? '',
    'string.format(list): string': format,
  });
  defineNamespace(environment, 'strings', { 'quote(string): string': (text: string) => JSON.stringify(text) });
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

/** `%s`, `%d`, `%b`, `%x`, `%X`, `%o`, `%e`, `%f` and `%%`, with a precision for `%e` and `%f`. */
function format(template: string, values: unknown[]): string {
  let at = 0;
  return template.replace(/%(\.\d+)?([sdbxXoef%])/g, (_all, precision: string | undefined, verb: string) => {
    if (verb === '%') return '%';
    if (at >= values.length) throw new Error(`index ${at} out of range`);
    return formatOne(values[at++], verb, precision === undefined ? 6 : Number(precision.slice(1)));
  });
}

const radixes: Record<string, number> = { b: 2, o: 8, x: 16, X: 16 };

function formatOne(value: unknown, verb: string, digits: number): string {
  if (verb === 'f') return Number(value).toFixed(digits);
  if (verb === 'e') return Number(value).toExponential(digits);
  if (verb === 'd' && typeof value !== 'bigint' && typeof value !== 'object')
    throw new Error(`error during formatting: decimal clause can only be used on integers, was given ${nameOf(value)}`);
  const radix = radixes[verb];
  if (!radix) return plainText(value);
  const text = typeof value === 'bigint' || typeof value === 'number' ? value.toString(radix) : hexOf(value);
  return verb === 'X' ? text.toUpperCase() : text;
}

const nameOf = (value: unknown): string => (typeof value === 'number' ? 'double' : typeof value);

const hexOf = (value: unknown): string =>
  typeof value === 'boolean' ? String(Number(value)) : Buffer.from(value as string).toString('hex');

/** Inside of lists and maps texts have quotes. */
function plainText(value: unknown): string {
  const inner = (item: unknown) => (typeof item === 'string' ? JSON.stringify(item) : plainText(item));
  if (value instanceof Date) return dateText(value);
  if (Array.isArray(value)) return `[${value.map(inner).join(', ')}]`;
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype)
    return String(value);
  const entries = Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}:${inner(member)}`);
  return `{${entries.join(', ')}}`;
}

/** As RFC 3339 has it, with fractions only where there are some. */
export const dateText = (date: Date): string => date.toISOString().replace(/\.?0*Z$/, 'Z');
