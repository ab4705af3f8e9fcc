import { expect, test } from '@jest/globals';
import {
  formatSelector,
  matches,
  matchesLabelSelector,
  parseFieldSelector,
  parseLabelSelector,
} from '../../api/selector.ts';

const picks = (selector: string, labels: Record<string, string>) => matches(parseLabelSelector(selector), labels);

test('understands every form of a label selector', () => {
  const labels = { app: 'web', tier: 'front', n: '5' };
  for (const selector of [
    '',
    'app=web',
    'app==web',
    'app!=db',
    'tier in (front, back)',
    'tier notin (x)',
    'app',
    '!gone',
    'gone notin (x)',
    'n>4',
    'n<6',
    'app=web,tier',
  ])
    expect([selector, picks(selector, labels)]).toEqual([selector, true]);
  for (const selector of ['app=db', 'app!=web', 'tier in (back)', 'gone', '!app', 'n>5', 'app=web,gone', 'gone in (a)'])
    expect([selector, picks(selector, labels)]).toEqual([selector, false]);
});

test('keys that objects inherit are no labels', () => {
  expect(picks('constructor', {})).toBe(false);
  expect(picks('!toString', {})).toBe(true);
});

test('refuses broken selectors', () => {
  for (const selector of ['a in', 'a in (', 'a=b=c', ',', 'a,', '=x', 'a in b', '-a=b', 'a=b c'])
    expect(() => parseLabelSelector(selector)).toThrow();
});

test('reads back what it writes', () => {
  for (const selector of ['app=web', 'app!=web', 'a in (x,y)', 'a notin (x,y)', 'a', '!a', 'a=b,c'])
    expect(formatSelector(parseLabelSelector(selector))).toBe(selector);
});

test('an absent LabelSelector matches nothing, an empty one everything', () => {
  expect(matchesLabelSelector(undefined, { a: 'b' })).toBe(false);
  expect(matchesLabelSelector({}, { a: 'b' })).toBe(true);
  expect(matchesLabelSelector({ matchExpressions: [{ key: 'a', operator: 'Exists' }] }, { a: 'b' })).toBe(true);
});

test('reads field selectors with escapes', () => {
  expect(parseFieldSelector('a=b,c!=d,e==f')).toEqual([
    { field: 'a', equal: true, value: 'b' },
    { field: 'c', equal: false, value: 'd' },
    { field: 'e', equal: true, value: 'f' },
  ]);
  expect(parseFieldSelector('a=b\\,c')).toEqual([{ field: 'a', equal: true, value: 'b,c' }]);
  expect(() => parseFieldSelector('nonsense')).toThrow("invalid selector: 'nonsense'; can't understand 'nonsense'");
});
