import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { sections } from './index.ts';
import { shortName } from './section.ts';
import { filesThatRun, titlesOf } from './titles.ts';

const names = readFileSync(join(import.meta.dirname, 'names-1.23.txt'), 'utf8')
  .trim()
  .split('\n');
const running = filesThatRun();
const titles = new Map([...running].map((file) => [file, new Set(titlesOf(readFileSync(file, 'utf8')))]));

describe.each(sections)('the conformance names of $covers', ({ covers, specs }) => {
  const covered = names.filter((name) => covers.test(name)).map(shortName);

  test('each has a spec of ours, and nothing else is listed', () =>
    expect(Object.keys(specs).sort()).toEqual(covered.sort()));

  test('each spec is there, and runs', () => {
    const missing = Object.entries(specs).flatMap(([name, spec]) => {
      const [file, title] = typeof spec === 'string' ? [spec, name] : spec;
      return titles.get(join('test', file))?.has(title)
        ? []
        : [`${file} has no test '${title}' that runs (for ${name})`];
    });
    expect(missing).toEqual([]);
  });
});

test('titles are those of tests alone, also of tables, and not of those that are skipped', () =>
  expect(
    titlesOf(`describe('a', () => { test('b', f); test.each([1])('c %s', f); test.skip('d', f); it.todo('e'); });`),
  ).toEqual(['b', 'c %s']));
