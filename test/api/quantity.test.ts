import { expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import {
  canonicalQuantity,
  compareQuantities,
  formatBytes,
  formatMilli,
  milli,
  parseNano,
  quantity,
} from '../../api/quantity.ts';

test('reads every form of a quantity', () => {
  expect(milli('250m')).toBe(250);
  expect(milli('0.1')).toBe(100);
  expect(milli('1e1')).toBe(10_000);
  expect(quantity('1.5Gi')).toBe(1.5 * 2 ** 30);
  expect(quantity('12E')).toBe(12e18);
  expect(quantity('-5')).toBe(-5);
  expect(milli('1u')).toBe(1);
});

test('refuses what is no quantity in the words of Kubernetes', () => {
  for (const text of ['', 'abc', '1.5.5', '1 Gi', '1Q']) expect(() => parseNano(text)).toThrow('quantities must match');
});

test('writes the one canonical text', () => {
  const cases = {
    '0.5': '500m',
    '1000m': '1',
    '1024Mi': '1Gi',
    '1000': '1k',
    '1.5Gi': '1536Mi',
    '100m': '100m',
    '0': '0',
    '0Mi': '0',
    '1e3': '1e3',
    '0.0001': '100u',
    '64Mi': '64Mi',
  };
  for (const [given, canonical] of Object.entries(cases))
    expect([given, canonicalQuantity(given)]).toEqual([given, canonical]);
});

test('compares across suffixes', () => {
  expect(compareQuantities('1Gi', '1G')).toBe(1);
  expect(compareQuantities('1000m', '1')).toBe(0);
  expect(compareQuantities('1', '2')).toBe(-1);
});

test('the canonical text means the same amount and is its own canonical text', () => {
  const suffix = fc.constantFrom('', 'm', 'k', 'M', 'G', 'Ki', 'Mi', 'Gi');
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10_000_000 }), suffix, (n, s) => {
      const text = canonicalQuantity(`${n}${s}`);
      expect(parseNano(text)).toBe(parseNano(`${n}${s}`));
      expect(canonicalQuantity(text)).toBe(text);
    }),
  );
});

test('formats what schedulers count in', () => {
  expect(formatMilli(1500)).toBe('1500m');
  expect(formatMilli(2000)).toBe('2');
  expect(formatBytes(2 ** 30)).toBe('1Gi');
  expect(formatBytes(1000)).toBe('1000');
});
