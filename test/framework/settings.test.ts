import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { followSettings, readSettings } from '../../framework/settings.ts';
import { duration, list } from '../../lib/options.ts';
import { eventually } from '../eventually.ts';

const rows = { offerLinger: duration('', 250), namespaceRoles: list('', ['ops=ops']) };
const dir = mkdtempSync(join(tmpdir(), 'km-settings-'));
const path = join(dir, 'settings.yaml');
afterAll(() => rmSync(dir, { recursive: true }));

const read = (text: string) => {
  writeFileSync(path, text);
  return readSettings(path, rows);
};

test.each([
  ['', { offerLinger: 250, namespaceRoles: ['ops=ops'] }],
  ['offer-linger: 1m30s', { offerLinger: 90_000, namespaceRoles: ['ops=ops'] }],
  ['{ "offer-linger": "2s", "namespace-roles": [] }', { offerLinger: 2000, namespaceRoles: [] }],
  ['namespace-roles: [a=b, c=d]', { offerLinger: 250, namespaceRoles: ['a=b', 'c=d'] }],
  ['namespace-roles: a=b,c=d', { offerLinger: 250, namespaceRoles: ['a=b', 'c=d'] }],
])('%j in the file is what counts, and the flags otherwise', (text, settings) => expect(read(text)).toEqual(settings));

test.each([
  [
    'mesos-role: x',
    /settings in .*settings\.yaml: mesos-role does not stand here; what may: offer-linger, namespace-roles/,
  ],
  ['offer-linger: 5', /settings in .*: --offer-linger: expected a duration such as 500ms, 5s or 1m30s, got "5"/],
  ['- offer-linger', /expected settings by their names, such as "offer-linger: 1s"/],
  ['offer-linger: [', /settings in .*settings\.yaml: /],
])('%j is refused', (text, says) => expect(() => read(text)).toThrow(says));

test('a file that changes is read anew; what is wrong in it changes nothing', async () => {
  const stop = new AbortController();
  const seen: number[] = [];
  writeFileSync(path, 'offer-linger: 1s');
  const told: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => void told.push(line) });
  followSettings(path, rows, ({ offerLinger }) => seen.push(offerLinger), { log, signal: stop.signal, interval: 20 });
  try {
    writeFileSync(path, 'offer-linger: soon');
    await eventually(() => expect(told.join()).toContain('going on with those of before'));
    writeFileSync(path, 'offer-linger: 3s');
    await eventually(() => expect(seen).toEqual([3000]));
  } finally {
    stop.abort();
  }
});
