import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, describe, expect, test } from '@jest/globals';
import { Progress } from '../../cli/progress.ts';
import { eventually } from '../eventually.ts';
import { program } from './run-km.ts';

const folder = mkdtempSync(join(tmpdir(), 'km-progress-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What was written, and a clock that is set by hand. */
function screen(isTTY: boolean) {
  const written: string[] = [];
  const clock = { now: 0 };
  const progress = new Progress({ isTTY, write: (text: string) => written.push(text) }, () => clock.now);
  return {
    progress,
    clock,
    lines: () => stripVTControlCharacters(written.join('').replaceAll('\r', '\n')).split('\n'),
  };
}

describe('Progress', () => {
  test('without a terminal, every beginning and every end is a line', () => {
    const { progress, clock, lines } = screen(false);
    progress.begin('etcd');
    clock.now = 1234;
    progress.done('etcd', 'http://127.0.0.1:2379');
    progress.begin('apiserver');
    progress.say('  ! etcd was killed');
    progress.end();
    expect(lines()).toEqual([
      '  etcd …',
      '  ✓ etcd                 http://127.0.0.1:2379 1.2 s',
      '  apiserver …',
      '  ! etcd was killed',
      '',
    ]);
  });

  test('on a terminal the step under way stays the last line', () => {
    const { progress, clock, lines } = screen(true);
    progress.begin('etcd');
    clock.now = 3000;
    progress.say('note');
    progress.done('etcd');
    expect(lines()).toEqual(['', '  … etcd', 'note', '', '  … etcd 3 s', '  ✓ etcd                 3.0 s', '']);
  });
});

const up = ['up', '--port', '0', '--mesos-port', '0', '--store', 'embedded', '--proxy', 'none'];
const words = [program, ...up, '--dir', folder];

describe('km up', () => {
  test('says what it starts and stops, line by line, where nobody looks', async () => {
    const child = spawn(process.execPath, words, {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NO_COLOR: '1' },
    });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await eventually(() => expect(said).toContain('Ready. Try:'), 60_000);
    child.kill('SIGINT');
    await once(child, 'close');
    expect(said).not.toContain('\r');
    for (const name of ['apiserver', 'devcluster', 'controller-manager', 'scheduler']) {
      expect(said).toContain(`\n  ${name} …\n`);
      expect(said).toContain(`\n  stopping ${name} …\n`);
    }
    expect(said).toMatch(/\n {2}✓ apiserver +https:\S+, objects kept in the embedded store \d+\.\d s\n/);
    expect(said).toMatch(/\nstopped\.\n$/);
  });

  test('stops in order though nobody reads what it says any more', async () => {
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'] });
    let [said, complaints] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
    await eventually(() => expect(said).toContain('Ready. Try:'), 60_000);
    child.stdout.destroy();
    child.kill('SIGINT');
    expect([await once(child, 'close'), complaints]).toEqual([[0, null], '']);
  });

  test('shows the step under way on a terminal', async () => {
    const command = `timeout --foreground -s INT 50 ${[process.execPath, ...words].join(' ')}`;
    const child = execFile('script', ['-qefc', command, '/dev/null']);
    let said = '';
    child.stdout!.on('data', (chunk: string) => (said += chunk));
    await eventually(() => expect(said).toContain('Ready. Try:'), 60_000);
    child.stdin!.write('\x03');
    await once(child, 'close');
    expect(stripVTControlCharacters(said)).toMatch(
      /\r {2}… apiserver( \d+ s)?\r {2}(… apiserver \d+ s\r {2})*✓ apiserver/,
    );
    expect(stripVTControlCharacters(said)).toMatch(/stopped\./);
  });
});
