import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify, SignJWT, type JSONWebKeySet } from 'jose';
import { Kubectl, newestKubectl } from '../../cluster/kubectl.ts';
import { eventually } from '../../eventually.ts';
import { startServer, type Json, type TestServer } from '../harness.ts';

const issuer = 'https://kubernetes.default.svc';
const dir = mkdtempSync(join(tmpdir(), 'km-tokens-'));
const keyFile = join(dir, 'key.pem');
const oldKeyFile = join(dir, 'old.pem');
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });

let s: TestServer;
beforeAll(async () => {
  writeFileSync(keyFile, ec.privateKey.export({ format: 'pem', type: 'sec1' }));
  writeFileSync(oldKeyFile, rsa.publicKey.export({ format: 'pem', type: 'spki' }));
  s = await startServer({
    serviceAccountIssuer: [issuer, 'https://old.example'],
    serviceAccountSigningKeyFile: keyFile,
    serviceAccountKeyFile: [keyFile, oldKeyFile],
    serviceAccountMaxTokenExpiration: 24 * 3_600_000,
  });
  await s.call('POST', `${inDefault}/serviceaccounts`, { metadata: { name: 'robot' } });
});
afterAll(async () => {
  await s.stop();
  rmSync(dir, { recursive: true, force: true });
});

const inDefault = '/api/v1/namespaces/default';
const ask = (spec: object = {}, name = 'robot') =>
  s.call('POST', `${inDefault}/serviceaccounts/${name}/token`, { spec });
const tokenOf = async (spec: object = {}) => (await ask(spec)).json['status']!['token'] as unknown as string;
const whoIs = (token: string) =>
  s.call('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {}, { authorization: `Bearer ${token}` });
const review = async (token: string, audiences: string[] = []) =>
  (await s.call('POST', '/apis/authentication.k8s.io/v1/tokenreviews', { spec: { token, audiences } })).json['status']!;

test('a token names its account, for an hour, towards the API', async () => {
  const answer = await ask();
  expect(answer.status).toBe(201);
  const token = answer.json['status']!['token'] as unknown as string;
  const claims = decodeJwt(token);
  expect(claims).toMatchObject({
    iss: issuer,
    sub: 'system:serviceaccount:default:robot',
    aud: [issuer, 'https://old.example'],
    'kubernetes.io': { namespace: 'default', serviceaccount: { name: 'robot' } },
  });
  expect(claims.exp! - claims.iat!).toBe(3600);
  expect(Date.parse(answer.json['status']!['expirationTimestamp'] as unknown as string)).toBe(claims.exp! * 1000);
  const who = await whoIs(token);
  expect(who.json['status']!['userInfo']).toMatchObject({
    username: 'system:serviceaccount:default:robot',
    groups: ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated'],
    extra: { 'authentication.kubernetes.io/credential-id': [`JTI=${claims.jti}`] },
  });
});

test('anybody can check it with the published keys', async () => {
  const document = await s.call('GET', '/.well-known/openid-configuration');
  expect(document.json).toMatchObject({ issuer, id_token_signing_alg_values_supported: ['ES256', 'RS256'] });
  const keys = await s.call('GET', '/openid/v1/jwks');
  expect(keys.headers['content-type']).toBe('application/jwk-set+json');
  const set = createLocalJWKSet(JSON.parse(keys.text) as JSONWebKeySet);
  const { payload } = await jwtVerify(await tokenOf(), set, { issuer, audience: issuer });
  expect(payload.sub).toBe('system:serviceaccount:default:robot');
});

test('the keys are shown to service accounts, and to nobody without a name', async () => {
  const asRobot = { authorization: `Bearer ${await tokenOf()}` };
  expect((await s.call('GET', '/openid/v1/jwks', undefined, asRobot)).status).toBe(200);
  expect((await s.call('GET', '/openid/v1/jwks', undefined, { authorization: '' })).status).toBe(403);
});

test.each([
  [{ expirationSeconds: 599 }, 422, 'may not specify a duration less than 10 minutes'],
  [{ expirationSeconds: 2 ** 32 + 1 }, 422, 'may not specify a duration larger than 2^32 seconds'],
  [{ boundObjectRef: { kind: 'ConfigMap', apiVersion: 'v1', name: 'x' } }, 422, 'Unsupported value: "ConfigMap"'],
  [{ boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'absent' } }, 404, 'pods "absent" not found'],
])('what is refused of a request: %j', async (spec, status, message) => {
  const answer = await ask(spec);
  expect(answer.status).toBe(status);
  expect(answer.json['message']).toMatch(message);
});

test('no token lives longer than the server lets it, and none is for an account that is not there', async () => {
  const claims = decodeJwt(await tokenOf({ expirationSeconds: 7 * 86_400 }));
  expect(claims.exp! - claims.iat!).toBe(86_400);
  expect((await ask({}, 'nobody')).json['message']).toBe('serviceaccounts "nobody" not found');
});

describe('a token is refused', () => {
  test('when it is meant for somebody else, who may have it reviewed', async () => {
    const token = await tokenOf({ audiences: ['vault'] });
    expect((await whoIs(token)).status).toBe(401);
    expect(await review(token)).toMatchObject({ user: {} });
    expect(await review(token, ['vault', 'other'])).toMatchObject({
      authenticated: true,
      audiences: ['vault'],
      user: { username: 'system:serviceaccount:default:robot' },
    });
  });

  test('when its signature is not ours, it has run out, or it is no token at all', async () => {
    const token = await tokenOf();
    const [head, body] = token.split('.');
    expect((await whoIs(`${head}.${body}.${'A'.repeat(86)}`)).status).toBe(401);
    expect((await whoIs(`${token.slice(0, -6)}AAAAAA`)).status).toBe(401);
    expect((await whoIs('a.b.c')).status).toBe(401);
    const { 'kubernetes.io': about, sub } = decodeJwt(token);
    const forged = (at: number, alg: string, key: Parameters<SignJWT['sign']>[0]) =>
      new SignJWT({ 'kubernetes.io': about })
        .setProtectedHeader({ alg, kid: decodeProtectedHeader(token).kid! })
        .setIssuer(issuer)
        .setSubject(sub!)
        .setAudience(issuer)
        .setExpirationTime(at)
        .sign(key);
    const now = Math.floor(Date.now() / 1000);
    expect((await whoIs(await forged(now + 60, 'ES256', ec.privateKey))).status).toBe(201);
    expect((await whoIs(await forged(now - 60, 'ES256', ec.privateKey))).status).toBe(401);
    const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    expect((await whoIs(await forged(now + 60, 'ES256', stranger))).status).toBe(401);
    expect((await whoIs(await forged(now + 60, 'HS256', Buffer.from('secret')))).status).toBe(401);
  });

  test('when the pod it is bound to is gone, or another of that name is there', async () => {
    const spec = { serviceAccountName: 'robot', containers: [{ name: 'c', image: 'x' }] };
    const make = async () =>
      (await s.call('POST', `${inDefault}/pods`, { metadata: { name: 'bound' }, spec })).json['metadata']!['uid'];
    const uid = await make();
    const boundObjectRef = { kind: 'Pod', apiVersion: 'v1', name: 'bound', uid };
    expect((await ask({ boundObjectRef: { ...boundObjectRef, uid: 'other' } })).status).toBe(409);
    const [first, second] = [await tokenOf({ boundObjectRef }), await tokenOf({ boundObjectRef })];
    expect((await whoIs(first)).json['status']!['userInfo']!['extra']).toMatchObject({
      'authentication.kubernetes.io/pod-name': ['bound'],
      'authentication.kubernetes.io/pod-uid': [uid],
    });
    await s.call('DELETE', `${inDefault}/pods/bound?gracePeriodSeconds=0`);
    await make();
    expect((await whoIs(second)).status).toBe(401);
  });

  test('when its account was deleted, even if another came', async () => {
    await s.call('POST', `${inDefault}/serviceaccounts`, { metadata: { name: 'short' } });
    const token = (await ask({}, 'short')).json['status']!['token'] as unknown as string;
    await s.call('DELETE', `${inDefault}/serviceaccounts/short`);
    await s.call('POST', `${inDefault}/serviceaccounts`, { metadata: { name: 'short' } });
    expect((await whoIs(token)).status).toBe(401);
  });
});

test('keys of before go on being accepted, and tokens in Secrets for as long as these are there', async () => {
  const uid = (await s.call('GET', `${inDefault}/serviceaccounts/robot`)).json['metadata']!['uid'] as unknown as string;
  const claim = (name: string) => `kubernetes.io/serviceaccount/${name}`;
  const token = await new SignJWT({
    [claim('namespace')]: 'default',
    [claim('secret.name')]: 'robot-token',
    [claim('service-account.name')]: 'robot',
    [claim('service-account.uid')]: uid,
  })
    .setProtectedHeader({ alg: 'RS256' })
    .setIssuer('kubernetes/serviceaccount')
    .setSubject('system:serviceaccount:default:robot')
    .sign(createPrivateKey(rsa.privateKey.export({ format: 'pem', type: 'pkcs1' })));
  expect((await whoIs(token)).status).toBe(401);
  const secret: Json | object = {
    metadata: { name: 'robot-token', annotations: { 'kubernetes.io/service-account.name': 'robot' } },
    type: 'kubernetes.io/service-account-token',
    stringData: { token },
  };
  expect((await s.call('POST', `${inDefault}/secrets`, secret)).status).toBe(201);
  expect((await whoIs(token)).json['status']!['userInfo']!['username']).toBe('system:serviceaccount:default:robot');

  // https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#legacy-serviceaccount-token-tracking-controller
  const today = expect.stringMatching(/^\d{4}-\d\d-\d\d$/);
  const since = await s.call(
    'GET',
    '/api/v1/namespaces/kube-system/configmaps/kube-apiserver-legacy-service-account-token-tracking',
  );
  expect(since.json['data']).toEqual({ since: today });
  const path = `${inDefault}/secrets/robot-token`;
  await eventually(async () => {
    const { json } = await s.call('GET', path);
    expect(json['metadata']!['labels']).toEqual({ 'kubernetes.io/legacy-token-last-used': today });
  }, 15_000);
  const mark = (value: string | null) =>
    s.call('PATCH', path, { metadata: { labels: { 'kubernetes.io/legacy-token-invalid-since': value } } }, merge);
  await mark('2026-01-01');
  await eventually(async () => expect((await whoIs(token)).status).toBe(401));
  await mark(null);
  await eventually(async () => expect((await whoIs(token)).status).toBe(201));
}, 30_000);

const merge = { 'content-type': 'application/merge-patch+json' };

test('a server without a key says so', async () => {
  const other = await startServer();
  await other.call('POST', `${inDefault}/serviceaccounts`, { metadata: { name: 'robot' } });
  const answer = await other.call('POST', `${inDefault}/serviceaccounts/robot/token`, {});
  expect([answer.status, answer.json['message']]).toEqual([501, expect.stringMatching('no key to sign tokens with')]);
  await other.stop();
});

test('kubectl makes a token and sees who it is', async () => {
  const cli = new Kubectl(newestKubectl(), s.kubeconfig);
  const token = (await cli.run('create', 'token', 'robot', '--duration', '30m')).trim();
  expect(decodeJwt(token).exp! - decodeJwt(token).iat!).toBe(1800);
  const anonymous = new Kubectl(newestKubectl(), s.kubeconfig.replace('kubeconfig', 'other'));
  writeFileSync(
    s.kubeconfig.replace('kubeconfig', 'other'),
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'km', cluster: { server: s.url, 'certificate-authority': `${s.dir}/ca.pem` } }],
      users: [{ name: 'robot', user: { token } }],
      contexts: [{ name: 'km', context: { cluster: 'km', user: 'robot' } }],
      'current-context': 'km',
    }),
  );
  expect(await anonymous.run('auth', 'whoami')).toMatch(/Username +system:serviceaccount:default:robot/);
});
