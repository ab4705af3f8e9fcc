import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { equal } from '../../lib/equal.ts';

test('a value equals its copy, whatever the order of its fields', () => {
  const reversed = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(reversed)
      : typeof value === 'object' && value !== null
        ? Object.fromEntries(
            Object.entries(value)
              .reverse()
              .map(([k, v]) => [k, reversed(v)]),
          )
        : value;
  fc.assert(fc.property(fc.jsonValue(), (value) => equal(value, reversed(JSON.parse(JSON.stringify(value))))));
});

test('different values differ, both ways round', () => {
  const text = (value: unknown): string =>
    JSON.stringify(value, (_, v: unknown) =>
      typeof v === 'object' && v && !Array.isArray(v) ? Object.fromEntries(Object.entries(v).sort()) : v,
    );
  fc.assert(
    fc.property(
      fc.jsonValue(),
      fc.jsonValue(),
      (a, b) => equal(a, b) === (text(a) === text(b)) && equal(b, a) === equal(a, b),
    ),
  );
});

test('an undefined field is an absent one, null is not', () => {
  expect(equal({ a: 1, b: undefined }, { a: 1 })).toBe(true);
  expect(equal({ a: 1 }, { a: 1, b: undefined })).toBe(true);
  expect(equal({ a: null }, {})).toBe(false);
  expect(equal({}, [])).toBe(false);
  expect(equal({ toString: undefined }, {})).toBe(true);
});
