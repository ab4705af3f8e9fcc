import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

const folder = mkdtempSync(join(tmpdir(), 'km-launcher-'));
const lib = join(folder, 'lib');

/** What the launcher of the archive runs, with a `node` beside it that says how it was started. */
const started = (program: string, ...args: string[]): string[] =>
  execFileSync(join(folder, 'bin', program), args, { encoding: 'utf8' })
    .trim()
    .split('\n');

beforeAll(() => {
  for (const name of ['bin', 'lib']) mkdirSync(join(folder, name));
  copyFileSync(join(import.meta.dirname, '../../packaging/km.sh'), join(folder, 'bin/km'));
  chmodSync(join(folder, 'bin/km'), 0o755);
  symlinkSync('km', join(folder, 'bin/km-executor'));
  writeFileSync(join(lib, 'node'), '#!/bin/sh\nprintf "%s\\n" "$@" "arenas ${MALLOC_ARENA_MAX:-any}"\n', {
    mode: 0o755,
  });
});
afterAll(() => rmSync(folder, { recursive: true }));

test('an executor runs with a small heap, by either name; its arguments stay as they are', () => {
  const expected = [
    ...['--max-semi-space-size=1', '--heap-growing-percent=20', `${folder}/bin/../lib/km/cli/km.js`],
    ...['executor', '--node-name', 'a b', 'arenas 1'],
  ];
  expect(started('km', 'executor', '--node-name', 'a b')).toEqual(expected);
  expect(started('km-executor', '--node-name', 'a b')).toEqual(expected);
});

test('everything else runs as Node does by itself', () => {
  expect(started('km', 'apiserver')).toEqual([`${folder}/bin/../lib/km/cli/km.js`, 'apiserver', 'arenas any']);
});
