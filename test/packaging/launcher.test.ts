import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

const folder = mkdtempSync(join(tmpdir(), 'km-launcher-'));
const program = join(folder, 'lib/km/cli/km.js');

const says = `console.log(JSON.stringify({
  flags: process.execArgv, args: process.argv.slice(2), arenas: process.env.MALLOC_ARENA_MAX,
}))`;

/** The launcher of the archive with Node as it is there, and a program that says how it was started. */
const started = (name: string, ...args: string[]): unknown =>
  JSON.parse(execFileSync(join(folder, 'bin', name), args, { encoding: 'utf8' }));

beforeAll(() => {
  for (const directory of ['bin', 'lib']) mkdirSync(join(folder, directory));
  mkdirSync(dirname(program), { recursive: true });
  copyFileSync(join(import.meta.dirname, '../../packaging/km.sh'), join(folder, 'bin/km'));
  chmodSync(join(folder, 'bin/km'), 0o755);
  symlinkSync('km', join(folder, 'bin/km-executor'));
  symlinkSync(process.execPath, join(folder, 'lib/node'));
  writeFileSync(program, says);
});
afterAll(() => rmSync(folder, { recursive: true }));

test('an executor runs with a small heap, by either name; its arguments stay as they are', () => {
  const small = {
    flags: ['--max-semi-space-size=1', '--heap-growing-percent=20'],
    args: ['executor', '--node-name', 'a b'],
    arenas: '1',
  };
  expect(started('km', 'executor', '--node-name', 'a b')).toEqual(small);
  expect(started('km-executor', '--node-name', 'a b')).toEqual(small);
});

test('everything else runs as Node does by itself', () => {
  expect(started('km', 'apiserver')).toEqual({ flags: [], args: ['apiserver'] });
});
