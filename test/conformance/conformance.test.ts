import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { sections } from './index.ts';
import { shortName } from './section.ts';
import { filesThatRun, patternOf, titlesOf } from './titles.ts';

const names = readFileSync(join(import.meta.dirname, 'names-1.23.txt'), 'utf8')
  .trim()
  .split('\n');
const documented = readFileSync('docs/compatibility.md', 'utf8').replaceAll(/\s+/g, ' ');
const running = filesThatRun();
const texts = new Map([...running].map((file) => [file, readFileSync(file, 'utf8')]));
const titles = new Map([...texts].map(([file, text]) => [file, titlesOf(text)]));

/** A test of this title; of a table whose rows have such titles, one row. */
const hasTest = (file: string, title: string): boolean =>
  titles
    .get(file)
    ?.some((one) =>
      one === '%s' ? (texts.get(file) ?? '').includes(title) : one === title || patternOf(one).test(title),
    ) ?? false;

describe.each(sections)('the conformance names of $covers', ({ covers, specs, limits = {} }) => {
  const covered = names.filter((name) => covers.test(name)).map(shortName);

  test('each has a spec of ours, and nothing else is listed', () =>
    expect([...Object.keys(specs), ...Object.keys(limits)].sort()).toEqual(covered.sort()));

  test('each spec is there, and runs', () => {
    const missing = Object.entries(specs).flatMap(([name, spec]) => {
      const [file, title] = typeof spec === 'string' ? [spec, name] : spec;
      return hasTest(join('test', file), title) ? [] : [`${file} has no test '${title}' that runs (for ${name})`];
    });
    expect(missing).toEqual([]);
  });

  test('what has none is in the documentation', () => {
    for (const sentence of Object.values(limits)) expect(documented).toContain(sentence);
  });
});

test('titles are those of tests alone, also of tables, and not of those that are skipped', () =>
  expect(
    titlesOf(`describe('a', () => { test('b', f); test.each([1])('c %s', f); test.skip('d', f); it.todo('e'); });`),
  ).toEqual(['b', 'c %s']));

test('every name belongs to one section', () => {
  const homes = (name: string) => sections.filter(({ covers }) => covers.test(name)).length;
  expect(names.filter((name) => homes(name) !== 1)).toEqual([]);
});
