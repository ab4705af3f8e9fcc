import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

const root = join(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const page = read('docs/mesos-recordings.md');

/** The cells of a table's rows, below this heading. */
function rows(heading: string): string[][] {
  const [, after = ''] = page.split(`## ${heading}`);
  const lines = after.split('\n## ')[0]!.split('\n');
  const cells = lines.filter((line) => line.startsWith('| ')).map((line) => line.split('|').slice(1, -1));
  return cells.slice(1).map((row) => row.map((cell) => cell.trim()));
}

test('every recording is in the table, and those that are replayed are in a test', () => {
  const tests = read('test/devcluster/golden.test.ts');
  const listed = rows('What is replayed').flatMap(([names = '', how = '']) =>
    names.split(', ').map((name) => ({ name, isReplayed: how !== 'no' })),
  );
  const there = readdirSync(join(root, 'test/golden/mesos'), { withFileTypes: true });
  expect(listed.map(({ name }) => name).sort()).toEqual(
    there.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort(),
  );
  for (const { name, isReplayed } of listed) {
    // Both content types of one recording are named together.
    const stem = name.replace(/-(json|protobuf)$/, '');
    expect({ name, isReplayed: tests.includes(`${stem}-\${format}`) || tests.includes(`'${name}'`) }).toEqual({
      name,
      isReplayed,
    });
  }
});

test.each(rows('What was surprising, and how km copes'))('Mesos %s: %s', (_habit, where) => {
  const [, path = '', title = ''] = /^`([^`]+)`: (.+)$/.exec(where) ?? [];
  expect(read(path)).toContain(`'${title}'`);
});
