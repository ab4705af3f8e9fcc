import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { Secret } from '../../api/kinds/secret.ts';
import { ServiceAccount } from '../../api/kinds/service-account.ts';
import { isNotFound } from '../../api/status.ts';
import { eventually } from '../eventually.ts';
import { startControllers } from './harness.ts';

const dir = mkdtempSync(join(tmpdir(), 'km-tokens-'));
const keyFile = join(dir, 'sa.key');
const caFile = join(dir, 'ca.crt');
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
writeFileSync(keyFile, privateKey.export({ format: 'pem', type: 'pkcs8' }));
writeFileSync(caFile, 'the CA');

const apiserver = { serviceAccountKeyFile: [keyFile], serviceAccountIssuer: ['https://km'] };
let w: Awaited<ReturnType<typeof startControllers>>;
beforeAll(async () => {
  const controllers = ['service-account-token', 'service-account'];
  w = await startControllers({ controllers, serviceAccountPrivateKeyFile: keyFile, rootCaFile: caFile }, apiserver);
});
afterAll(async () => {
  await w.stop();
  rmSync(dir, { recursive: true });
});

const account = (name: string) => w.client.create(ServiceAccount, { metadata: { name, namespace: 'default' } });
const secretFor = (name: string, of: string) =>
  w.client.create(Secret, {
    metadata: { name, namespace: 'default', annotations: { 'kubernetes.io/service-account.name': of } },
    type: 'kubernetes.io/service-account-token',
  });
const dataOf = async (name: string) => {
  const { data = {}, metadata } = await w.client.get(Secret, { namespace: 'default', name });
  const field = (key: string) => Buffer.from(data[key] ?? '', 'base64').toString();
  return { token: field('token'), ca: field('ca.crt'), namespace: field('namespace'), metadata };
};
const isAbsent = (name: string) => w.client.get(Secret, { namespace: 'default', name }).then(() => false, isNotFound);
const status = async (token: string) =>
  (await w.server.call('GET', '/api/v1/namespaces/default', undefined, { authorization: `Bearer ${token}` })).status;

test('a Secret that asks for a token gets one, which is good while the Secret is there', async () => {
  const { metadata } = await account('robot');
  await secretFor('robot-token', 'robot');
  await eventually(async () => expect((await dataOf('robot-token')).token).not.toBe(''));
  const made = await dataOf('robot-token');
  expect([made.ca, made.namespace]).toEqual(['the CA', 'default']);
  expect(made.metadata.annotations?.['kubernetes.io/service-account.uid']).toBe(metadata.uid);
  expect(decodeJwt(made.token)).toEqual({
    iss: 'kubernetes/serviceaccount',
    sub: 'system:serviceaccount:default:robot',
    'kubernetes.io/serviceaccount/namespace': 'default',
    'kubernetes.io/serviceaccount/secret.name': 'robot-token',
    'kubernetes.io/serviceaccount/service-account.name': 'robot',
    'kubernetes.io/serviceaccount/service-account.uid': metadata.uid,
  });
  expect(await status(made.token)).toBe(403);
  expect(await status(`${made.token.slice(0, -4)}AAAA`)).toBe(401);
  await w.client.delete(ServiceAccount, { namespace: 'default', name: 'robot' });
  await eventually(async () => expect(await isAbsent('robot-token')).toBe(true));
});

test('a token that is taken out is made again, and a wrong CA set right', async () => {
  await account('filler');
  await secretFor('filler-token', 'filler');
  await eventually(async () => expect((await dataOf('filler-token')).token).not.toBe(''));
  const data = { token: null, 'ca.crt': Buffer.from('another').toString('base64') };
  await w.client.patch(Secret, { namespace: 'default', name: 'filler-token' }, { data });
  await eventually(async () => {
    const { token, ca } = await dataOf('filler-token');
    expect([token !== '', ca]).toEqual([true, 'the CA']);
  });
});

test('a Secret of an account that is not there, or was another, is deleted', async () => {
  await secretFor('nobody-token', 'nobody');
  await eventually(async () => expect(await isAbsent('nobody-token')).toBe(true));
  await account('second');
  const annotations = {
    'kubernetes.io/service-account.name': 'second',
    'kubernetes.io/service-account.uid': 'of-the-first',
  };
  const metadata = { name: 'second-token', namespace: 'default', annotations };
  await w.client.create(Secret, { metadata, type: 'kubernetes.io/service-account-token' });
  await eventually(async () => expect(await isAbsent('second-token')).toBe(true));
});

test('a Secret that does not say whose token it holds is refused', async () => {
  const metadata = { name: 'whose', namespace: 'default' };
  const made = w.client.create(Secret, { metadata, type: 'kubernetes.io/service-account-token' });
  await expect(made).rejects.toThrow('metadata.annotations[kubernetes.io/service-account.name]: Required value');
});

test('an account that lists a deleted token Secret forgets it', async () => {
  await account('lister');
  await secretFor('lister-token', 'lister');
  const secrets = [{ name: 'lister-token' }, { name: 'of-another-kind' }];
  await w.client.patch(ServiceAccount, { namespace: 'default', name: 'lister' }, { secrets });
  await w.client.delete(Secret, { namespace: 'default', name: 'lister-token' });
  await eventually(async () => {
    const { secrets: left } = await w.client.get(ServiceAccount, { namespace: 'default', name: 'lister' });
    expect(left).toEqual([{ name: 'of-another-kind' }]);
  });
});

test('where tokens are generated every account has one, and a new one when it is deleted', async () => {
  const other = await startControllers(
    {
      controllers: ['service-account-token', 'service-account'],
      serviceAccountPrivateKeyFile: keyFile,
      legacyServiceAccountTokenAutoGeneration: true,
    },
    apiserver,
  );
  const tokenOf = async () => {
    const { secrets } = await other.client.get(ServiceAccount, { namespace: 'default', name: 'default' });
    expect(secrets).toEqual([{ name: expect.stringMatching(/^default-token-/) }]);
    return secrets![0]!.name!;
  };
  const first = await eventually(tokenOf);
  await eventually(async () => {
    const { data } = await other.client.get(Secret, { namespace: 'default', name: first });
    expect(data).toEqual({ token: expect.any(String), namespace: expect.any(String) });
  });
  await other.client.delete(Secret, { namespace: 'default', name: first });
  await eventually(async () => expect(await tokenOf()).not.toBe(first));
  await eventually(async () => {
    const { items } = await other.client.list(Secret, { namespace: 'default' });
    expect(items.map(({ metadata }) => metadata.name)).toEqual([await tokenOf()]);
  });
  await other.stop();
});
