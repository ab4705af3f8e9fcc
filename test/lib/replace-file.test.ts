import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import { replaceFile } from '../../lib/replace-file.ts';

const directory = mkdtempSync('/dev/shm/km-replace-');
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const path = join(directory, 'record');

describe('a file that is replaced', () => {
  beforeEach(() => replaceFile(path, 'before'));

  test('is another one, read by its owner only, with nothing beside it', () => {
    const { ino } = statSync(path);
    replaceFile(path, 'after');
    expect(readFileSync(path, 'utf8')).toBe('after');
    expect(statSync(path).ino).not.toBe(ino);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory)).toEqual(['record']);
  });

  test('stays where it says so already', () => {
    const { ino, ctimeNs } = statSync(path, { bigint: true });
    replaceFile(path, 'before');
    expect(statSync(path, { bigint: true })).toMatchObject({ ino, ctimeNs });
  });

  test('is whole again, whatever the power left of it or beside it', () => {
    writeFileSync(path, '');
    writeFileSync(`${path}.${process.pid}.new`, 'aft');
    replaceFile(path, 'after');
    expect(readFileSync(path, 'utf8')).toBe('after');
    expect(readdirSync(directory)).toEqual(['record']);
  });

  test('stays as it was when it cannot be written', () => {
    expect(() => replaceFile(join(directory, 'missing/record'), 'x')).toThrow('ENOENT');
    expect(readFileSync(path, 'utf8')).toBe('before');
  });
});
