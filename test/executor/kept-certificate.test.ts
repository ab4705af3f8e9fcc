import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { KeptCertificate, type KeptCertificateOptions } from '../../executor/kept-certificate.ts';
import { type KeyPair, createAuthority, issue } from '../../lib/certs.ts';
import { silent } from '../../lib/log.ts';

const directory = mkdtempSync(join(tmpdir(), 'km-kept-'));
const subject = { commonName: 'system:node:n', hosts: ['n', '10.0.0.5'] };
const day = 86_400_000;
const start = Date.now();
const stopping = new AbortController();
let authority: KeyPair;
let good: KeyPair;
let next: KeyPair;
beforeAll(async () => {
  authority = await createAuthority('ca');
  good = await issue(authority, subject, start, 100 * day);
  next = await issue(authority, subject, start, 200 * day);
});
afterAll(() => {
  stopping.abort();
  rmSync(directory, { recursive: true });
});

let files = 0;
/** What becomes of a file that holds this, when somebody who signs answers the first time he is asked. */
function keeping(pair: KeyPair | undefined, given: Partial<KeptCertificateOptions> = {}) {
  const file = join(directory, given.file ?? `${files++}.pem`);
  if (pair) writeFileSync(file, `${pair.cert.trim()}\n${pair.key}`);
  let asked = 0;
  const ask = () => ((asked += 1) === 1 ? Promise.resolve(next) : new Promise<KeyPair>(() => {}));
  const certificate = new KeptCertificate({ subject, ask, log: silent, ...given, file });
  const came = certificate.next();
  void certificate.keep(stopping.signal);
  return { file, certificate, came, asked: () => asked };
}

test('what is missing is asked for, kept for its owner alone, and used by the next of us', async () => {
  const { file, certificate, came, asked } = keeping(undefined, { file: 'pki/new.pem' });
  expect(certificate.current).toBeUndefined();
  await came;
  expect(certificate.current).toMatchObject({ cert: expect.stringContaining(next.cert.trim()) });
  expect(readFileSync(file, 'utf8')).toContain('PRIVATE KEY');
  expect([statSync(file).mode & 0o777, statSync(join(directory, 'pki')).mode & 0o777]).toEqual([0o600, 0o700]);
  const later = keeping(undefined, { file: 'pki/new.pem' });
  expect(later.certificate.current?.cert).toBe(certificate.current?.cert);
  await setImmediate();
  expect([asked(), later.asked()]).toEqual([1, 0]);
});

test.each<[string, () => Promise<KeyPair>]>([
  ['is of another node', () => issue(authority, { ...subject, commonName: 'system:node:other' })],
  ['lacks an address', () => issue(authority, { ...subject, hosts: ['n'] })],
  ['has run out', () => issue(authority, subject, start, -1000)],
  ['has another key', async () => ({ cert: good.cert, key: next.key })],
  ['is cut off', async () => ({ cert: good.cert.slice(0, 200), key: '' })],
])('one that %s is as good as none', async (_what, make) => {
  const { certificate, came } = keeping(await make());
  expect(certificate.current).toBeUndefined();
  await came;
});

test.each([
  [0.69, 0, 0],
  [0.71, 0, 1],
  [0.89, 1, 0],
  [0.91, 1, 1],
])('after %f of its life, with a jitter of %d, it is asked for another %d times', async (share, random, times) => {
  const { asked, certificate } = keeping(good, { now: () => start + share * 100 * day, random: () => random });
  expect(certificate.current).toBeDefined();
  await setImmediate();
  expect(asked()).toBe(times);
});

test('one that runs out while nothing else is to be had is none', () => {
  let now = start;
  const { certificate } = keeping(good, { now: () => now });
  expect(certificate.current).toBeDefined();
  expect(certificate.figures.secondsLeft / 86_400).toBeCloseTo(100, 1);
  now += 101 * day;
  expect(certificate.current).toBeUndefined();
  expect(certificate.figures).toMatchObject({ secondsLeft: expect.closeTo(-86_400, -2), failures: 0 });
});

test('whoever watches over us sees that none is to be had', async () => {
  const { certificate } = keeping(undefined, { ask: () => Promise.reject(new Error('nobody signs')) });
  await setImmediate();
  expect(certificate.figures).toEqual({ secondsLeft: Infinity, failures: 1 });
});

test('one that is refused is gone at once and another asked for; of another one the refusal says nothing', async () => {
  const { certificate, came } = keeping(good);
  const shown = certificate.current!.cert;
  certificate.refused(undefined);
  certificate.refused(next.cert);
  expect(certificate.current?.cert).toBe(shown);
  certificate.refused(shown);
  expect(certificate.current).toBeUndefined();
  await came;
  certificate.refused(shown);
  expect(certificate.current).toBeDefined();
});

test('when another begins to sign, it is used until there is one of that', async () => {
  const { certificate, asked } = keeping(good);
  certificate.signedBy(new X509Certificate(authority.cert));
  await setImmediate();
  expect(asked()).toBe(0);
  certificate.signedBy(new X509Certificate((await createAuthority('next')).cert));
  expect(certificate.current?.cert.trim()).toBe(good.cert.trim());
  await setImmediate();
  expect(asked()).toBe(1);
});
