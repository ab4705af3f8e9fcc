import { afterAll, describe, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { type LogOptions, readLog } from '../../executor/logs.ts';
import { LogFile } from '../../executor/runtimes/log-file.ts';
import { selectFiles, writeFiles } from '../../executor/volumes/files.ts';

const directory = mkdtempSync('/dev/shm/km-files-');
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const bytes = (data: Record<string, string>) =>
  Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text)]));

const pipe = (path: string) => {
  rmSync(path);
  execFileSync('mkfifo', [path]);
};

describe('the files of a config map', () => {
  test.each(['../x', 'a/../../x', '/etc/passwd', '..', '..data', 'a//b', ''])('never leave the volume: %j', (path) => {
    expect(() => selectFiles('configmap "c"', bytes({ [path]: 'x' }), undefined, 0o644, false)).toThrow(
      'would leave the volume',
    );
    expect(() => selectFiles('configmap "c"', bytes({ k: 'x' }), [{ key: 'k', path }], 0o644, false)).toThrow(
      'would leave the volume',
    );
  });

  test('change all at once: a reader sees the old ones or the new ones, and no directory is left over', async () => {
    const volume = join(directory, 'volume');
    const files = (data: Record<string, string>) => selectFiles('c', bytes(data), undefined, 0o640, false);
    await writeFiles(volume, files({ a: '1', b: '1' }));
    const before = readlinkSync(join(volume, '..data'));
    await writeFiles(volume, files({ a: '1', b: '1' }));
    expect(readlinkSync(join(volume, '..data'))).toBe(before);
    await writeFiles(volume, files({ a: '2', c: '2' }));
    expect(readFileSync(join(volume, 'a'), 'utf8')).toBe('2');
    expect(statSync(join(volume, 'a')).mode & 0o777).toBe(0o640);
    expect(
      readdirSync(volume)
        .filter((name) => !name.startsWith('..'))
        .sort(),
    ).toEqual(['a', 'c']);
    expect(readdirSync(volume).filter((name) => name.startsWith('..'))).toHaveLength(2);
  });

  const files = (data: Record<string, string>) => selectFiles('c', bytes(data), undefined, 0o644, false);
  const hostile = async (name: string, change: (volume: string, current: string, outside: string) => void) => {
    const [volume, outside] = [join(directory, name), join(directory, `${name}-outside`)];
    mkdirSync(outside);
    writeFileSync(join(outside, 'a'), 'precious');
    await writeFiles(volume, files({ a: '1' }));
    change(volume, readlinkSync(join(volume, '..data')), outside);
    await writeFiles(volume, files({ a: '2' }));
    expect(readFileSync(join(volume, 'a'), 'utf8')).toBe('2');
    expect(readdirSync(volume).sort()).toEqual([readlinkSync(join(volume, '..data')), '..data', 'a'].sort());
    expect(readdirSync(outside)).toEqual(['a']);
    expect(readFileSync(join(outside, 'a'), 'utf8')).toBe('precious');
  };
  const put = (target: string, path: string) => {
    rmSync(path, { recursive: true, force: true });
    symlinkSync(target, path);
  };

  test.each<[string, (volume: string, current: string, outside: string) => void]>([
    ['a link out of it for the current ones', (volume, _, outside) => put(outside, join(volume, '..data'))],
    ['such a link with dots', (volume, _, outside) => put(`../${basename(outside)}`, join(volume, '..data'))],
    ['a link for their directory', (volume, current, outside) => put(outside, join(volume, current))],
    ['a link for a name', (volume, _, outside) => put(join(outside, 'a'), join(volume, 'a'))],
    ['a link for a file', (volume, current, outside) => put(join(outside, 'a'), join(volume, current, 'a'))],
    ['a pipe for a file', (volume, current) => pipe(join(volume, current, 'a'))],
    ['a pipe for the current ones', (volume) => pipe(join(volume, '..data'))],
    [
      'directories for all',
      (volume) =>
        ['..data', 'a'].forEach(
          (name) => (rmSync(join(volume, name)), mkdirSync(join(volume, name, 'x'), { recursive: true })),
        ),
    ],
    ['something beside', (volume, _, outside) => put(outside, join(volume, 'b'))],
  ])('get right again after somebody put in %s, and nothing outside is touched', (what, change) =>
    hostile(what.replaceAll(' ', '-'), change),
  );

  test('stay what they are while nothing changes, but not when somebody changed them', async () => {
    const volume = join(directory, 'twisted');
    const outside = join(directory, 'equal');
    mkdirSync(outside);
    writeFileSync(join(outside, 'a'), '1');
    await writeFiles(volume, files({ a: '1' }));
    const current = readlinkSync(join(volume, '..data'));
    put(outside, join(volume, current));
    await writeFiles(volume, files({ a: '1' }));
    expect(readlinkSync(join(volume, '..data'))).not.toBe(current);
    expect(existsSync(join(volume, current))).toBe(false);
  });

  test('leave room for what is mounted below them, which stays', async () => {
    const volume = join(directory, 'nesting');
    for (const text of ['1', '2']) {
      await writeFiles(volume, files({ a: text }), undefined, ['cache', 'deep/er', 'a/no']);
      writeFileSync(join(volume, 'cache', text), '');
    }
    expect(readdirSync(join(volume, 'cache'))).toEqual(['1', '2']);
    expect(readdirSync(join(volume, 'deep'))).toEqual(['er']);
    expect(readFileSync(join(volume, 'a'), 'utf8')).toBe('2');
  });
});

test('a log of Docker is shown as one of CRI is', async () => {
  const time = (second: number) => `2026-11-21T04:25:0${second}.5Z`;
  const record = (log: string, stream: string, second: number) =>
    `${JSON.stringify({ log, stream, time: time(second) })}\n`;
  const path = join(directory, 'json.log');
  writeFileSync(
    path,
    record('one\n', 'stdout', 1) +
      record('two, ', 'stdout', 2) +
      record('ended\n', 'stdout', 3) +
      record('{"a": "ü"}\n', 'stderr', 4) +
      '{"log":"cut',
  );
  const show = async (options: LogOptions) => {
    const parts: Buffer[] = [];
    for await (const part of readLog(path, options, () => Promise.resolve(false), AbortSignal.timeout(5_000)))
      parts.push(part);
    return Buffer.concat(parts).toString();
  };
  expect(await show({})).toBe('one\ntwo, ended\n{"a": "ü"}\n');
  expect(await show({ timestamps: true, stream: 'stdout' })).toBe(`${time(1)} one\n${time(2)} two, ended\n`);
  expect(await show({ since: Date.parse(time(4)) })).toBe('{"a": "ü"}\n');
  expect(await show({ limitBytes: 6 })).toBe('one\ntw');
});

test('a log that is a link to somewhere else is neither read nor written', async () => {
  const outside = join(directory, 'outside');
  writeFileSync(outside, 'private\n');
  chmodSync(outside, 0o600);
  const link = join(directory, '0.log');
  symlinkSync(outside, link);
  const read = async () => {
    for await (const part of readLog(link, {}, () => Promise.resolve(false), AbortSignal.timeout(5_000))) return part;
    return undefined;
  };
  await expect(read()).rejects.toThrow('ELOOP');
  expect(() => new LogFile(link)).toThrow('ELOOP');
  expect(readFileSync(outside, 'utf8')).toBe('private\n');
});
