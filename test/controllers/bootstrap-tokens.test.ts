import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ConfigMap } from '../../api/kinds/config-map.ts';
import { Secret } from '../../api/kinds/secret.ts';
import { isNotFound } from '../../api/status.ts';
import { timeLeft } from '../../controllers/bootstrap-tokens.ts';
import { eventually } from '../eventually.ts';
import { startControllers } from './harness.ts';

let w: Awaited<ReturnType<typeof startControllers>>;
beforeAll(async () => void (w = await startControllers({ controllers: ['bootstrap-signer', 'token-cleaner'] })));
afterAll(() => w.stop());

const ref = { namespace: 'kube-public', name: 'cluster-info' };
const word = '0123456789abcdef';
const token = (id: string, more: Record<string, string> = {}) =>
  w.client.create(Secret, {
    metadata: { namespace: 'kube-system', name: `bootstrap-token-${id}` },
    type: 'bootstrap.kubernetes.io/token',
    stringData: { 'token-id': id, 'token-secret': word, 'usage-bootstrap-signing': 'true', ...more },
  });
const isAbsent = (id: string) =>
  w.client.get(Secret, { namespace: 'kube-system', name: `bootstrap-token-${id}` }).then(() => false, isNotFound);
const dataOf = async () => (await w.client.get(ConfigMap, ref)).data ?? {};

/** What kubeadm makes of it to compare. */
function signatureOf(content: string, id: string): string {
  const part = (text: string) => Buffer.from(text).toString('base64url');
  const head = part(`{"alg":"HS256","kid":"${id}"}`);
  return `${head}..${createHmac('sha256', word)
    .update(`${head}.${part(content)}`)
    .digest('base64url')}`;
}

test('what is said of the cluster is signed by every token that may, again when it changes, and no longer than that', async () => {
  await token('aaaaaa');
  await token('bbbbbb', { 'usage-bootstrap-signing': 'false' });
  await token('cccccc', { 'token-id': 'dddddd' });
  await w.client.create(ConfigMap, {
    metadata: ref,
    data: { kubeconfig: 'one', 'jws-kubeconfig-zzzzzz': 'stale', x: 'y' },
  });
  await eventually(async () =>
    expect(await dataOf()).toEqual({
      kubeconfig: 'one',
      x: 'y',
      'jws-kubeconfig-aaaaaa': signatureOf('one', 'aaaaaa'),
    }),
  );
  await w.client.patch(ConfigMap, ref, { data: { kubeconfig: 'two' } });
  await eventually(async () => expect((await dataOf())['jws-kubeconfig-aaaaaa']).toBe(signatureOf('two', 'aaaaaa')));
  await w.client.delete(Secret, { namespace: 'kube-system', name: 'bootstrap-token-aaaaaa' });
  await eventually(async () => expect(await dataOf()).toEqual({ kubeconfig: 'two', x: 'y' }));
});

test('a token is deleted when it has run out, and its signature with it', async () => {
  const expiration = new Date(Date.now() + 1500).toISOString();
  await token('eeeeee', { expiration });
  await token('ffffff', { expiration: '2020-01-01T00:00:00Z' });
  await token('gggggg');
  await eventually(async () => expect(await isAbsent('ffffff')).toBe(true));
  await eventually(async () => expect(await isAbsent('eeeeee')).toBe(true));
  expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(expiration));
  expect(await isAbsent('gggggg')).toBe(false);
  await eventually(async () =>
    expect(Object.keys(await dataOf()).sort()).toEqual(['jws-kubeconfig-gggggg', 'kubeconfig', 'x']),
  );
});

test.each([
  ['2026-01-01T00:00:10Z', 10_000],
  ['2026-01-01T01:00:00+01:00', 0],
  ['some day', 0],
  ['', Infinity],
])('a token that expires at "%s" has %d ms left', (expiration, left) => {
  const data = { expiration: Buffer.from(expiration).toString('base64') };
  expect(timeLeft({ metadata: {}, data }, Date.parse('2026-01-01T00:00:00Z'))).toBe(left);
});
