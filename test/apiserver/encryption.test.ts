import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { openEmbedded } from '../../apiserver/embedded.ts';
import { readEncryption } from '../../apiserver/encryption/config.ts';
import { aesgcm, secretbox } from '../../apiserver/encryption/transformers.ts';
import { startServer, type TestServer } from './harness.ts';

const dir = mkdtempSync(join(tmpdir(), 'km-encryption-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const key = (size = 32) => randomBytes(size).toString('base64');
const [one, two, three] = [key(), key(16), key()];
let files = 0;

/** A configuration for secrets, the providers in their order. */
function config(...providers: object[]): string {
  const path = join(dir, `${++files}.json`);
  const resources = [{ resources: ['secrets', '*.apps'], providers }];
  writeFileSync(
    path,
    JSON.stringify({ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'EncryptionConfiguration', resources }),
  );
  return path;
}
const provider = (kind: string, ...keys: [string, string][]) => ({
  [kind]: { keys: keys.map(([name, secret]) => ({ name, secret })) },
});

const secrets = '/api/v1/namespaces/default/secrets';
const store = join(dir, 'store.db');
const prefix = '/registry/core/secrets/default/';

/** Does something with a server over the same file, and answers how a secret lies in it afterwards. */
async function serve(providers: object[], work: (s: TestServer) => Promise<void>): Promise<string> {
  const encryption = providers.length > 0 ? { encryptionProviderConfig: config(...providers) } : {};
  const s = await startServer({ embeddedStore: store, ...encryption });
  try {
    await work(s);
  } finally {
    await s.stop();
  }
  const raw = openEmbedded(store);
  const { item } = await raw.get(`${prefix}a`);
  await raw.close();
  return Buffer.from(item?.value ?? []).toString('latin1');
}

const reads = async (s: TestServer) => {
  const { json } = await s.call('GET', `${secrets}/a`);
  expect(json['data']).toEqual({ password: Buffer.from('open sesame').toString('base64') });
};
const replace = async (s: TestServer) => {
  const { json } = await s.call('GET', `${secrets}/a`);
  expect((await s.call('PUT', `${secrets}/a`, json)).status).toBe(200);
};

test('secrets lie encrypted in the store, and keys are changed without losing any', async () => {
  const plain = await serve([], async (s) => {
    await s.call('POST', secrets, { metadata: { name: 'a' }, stringData: { password: 'open sesame' } });
  });
  expect(plain).toContain('"kind":"Secret"');

  const unchanged = await serve([provider('aesgcm', ['one', one]), { identity: {} }], reads);
  expect(unchanged).toContain('"kind":"Secret"');
  const first = await serve([provider('aesgcm', ['one', one]), { identity: {} }], async (s) => {
    await reads(s);
    await replace(s);
    await reads(s);
    await s.call('POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: 'open' }, data: { a: 'b' } });
  });
  expect(first).toMatch(/^k8s:enc:aesgcm:v1:one:/);
  expect(first).not.toContain('password');

  const second = await serve([provider('aesgcm', ['two', two], ['one', one])], async (s) => {
    await reads(s);
    await replace(s);
  });
  expect(second).toMatch(/^k8s:enc:aesgcm:v1:two:/);
  const third = await serve([provider('secretbox', ['three', three]), provider('aesgcm', ['two', two])], async (s) => {
    await replace(s);
    const { json } = await s.call('GET', secrets);
    expect(json['items']).toHaveLength(1);
    await replace(s);
  });
  expect(third).toMatch(/^k8s:enc:secretbox:v1:three:/);
  expect(await serve([provider('secretbox', ['three', three])], reads)).toBe(third);
  expect(await serve([{ identity: {} }, provider('secretbox', ['three', three])], replace)).toContain(
    '"kind":"Secret"',
  );
});

describe.each([
  ['aesgcm', aesgcm('k', randomBytes(32))],
  ['secretbox', secretbox('k', randomBytes(32))],
])('%s', (kind, { seal, open }) => {
  const value = Buffer.from('{"a":1}');
  test('opens what it sealed, each time otherwise, and nothing that was touched', () => {
    const sealed = Buffer.from(seal(value, '/registry/x'));
    expect(Buffer.from(open(sealed, '/registry/x'))).toEqual(value);
    expect(seal(value, '/registry/x')).not.toEqual(sealed);
    sealed[sealed.length - 1]! ^= 1;
    expect(() => open(sealed, '/registry/x')).toThrow();
    expect(() => open(Buffer.from('short'), '/registry/x')).toThrow();
  });

  if (kind === 'aesgcm')
    test('opens nothing that was moved to another key', () => {
      expect(() => open(seal(value, '/registry/x'), '/registry/y')).toThrow();
    });
});

test.each([
  [{ kind: 'Pod' }, 'should hold an EncryptionConfiguration'],
  [{ resources: [] }, 'names no resources'],
  [{ resources: [{ resources: ['secrets'], providers: [] }] }, 'providers is empty'],
  [{ resources: [{ resources: ['secrets'], providers: [{ kms: {} }] }] }, 'there is no provider "kms" here'],
  [
    { resources: [{ resources: ['secrets'], providers: [provider('aesgcm', ['a', key(5)])] }] },
    'should be 16 or 24 or 32 bytes in base64, not 5',
  ],
  [
    { resources: [{ resources: ['secrets'], providers: [provider('secretbox', ['a:b', key()])] }] },
    'name is missing or has a colon',
  ],
])('a configuration that is none is refused with a sentence: %j', (given, message) => {
  const path = join(dir, 'bad.json');
  writeFileSync(
    path,
    JSON.stringify({ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'EncryptionConfiguration', ...given }),
  );
  expect(() => readEncryption(path)).toThrow(message);
});
