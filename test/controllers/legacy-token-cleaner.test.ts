import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ConfigMap } from '../../api/kinds/config-map.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { Secret } from '../../api/kinds/secret.ts';
import { ServiceAccount } from '../../api/kinds/service-account.ts';
import { isNotFound } from '../../api/status.ts';
import { fateOf } from '../../controllers/legacy-token-cleaner.ts';
import { eventually } from '../eventually.ts';
import { startControllers } from './harness.ts';

const namespace = 'default';
const year = 365 * 86_400_000;
const used = (label: string) => ({ 'kubernetes.io/legacy-token-last-used': label });
const marked = (label: string) => ({ 'kubernetes.io/legacy-token-invalid-since': label });

test.each([
  ['made a year ago and never used', '2025-01-01T00:00:00Z', {}, 'mark'],
  ['made lately', '2025-06-01T00:00:00Z', {}, 'keep'],
  ['used lately', '2020-01-01T00:00:00Z', used('2025-06-01'), 'keep'],
  ['used a year ago, perhaps at the end of that day', '2020-01-01T00:00:00Z', used('2025-01-01'), 'keep'],
  ['used more than a year ago', '2020-01-01T00:00:00Z', used('2024-12-31'), 'mark'],
  ['marked lately', '2020-01-01T00:00:00Z', marked('2025-06-01'), 'mark'],
  ['marked for a year', '2020-01-01T00:00:00Z', marked('2024-12-31'), 'delete'],
  [
    'marked for a year, and used since',
    '2020-01-01T00:00:00Z',
    { ...marked('2024-01-01'), ...used('2025-06-01') },
    'keep',
  ],
])('a token that was %s: %s %j → %s', (_, creationTimestamp, labels, fate) => {
  const metadata = { name: 's', uid: 'u', resourceVersion: '1', creationTimestamp, labels };
  expect(fateOf({ metadata }, year, Date.parse('2026-01-01T00:00:00Z'))).toBe(fate);
});

let w: Awaited<ReturnType<typeof startControllers>>;
beforeAll(async () => void (w = await startControllers({ controllers: [] })));
afterAll(() => w.stop());

test('those that were made for an account and no pod mounts are marked, then deleted; others stay', async () => {
  const secret = (name: string, labels: Record<string, string> = {}) =>
    w.client.create(Secret, {
      metadata: { name, namespace, labels, annotations: { 'kubernetes.io/service-account.name': 'robot' } },
      type: 'kubernetes.io/service-account-token',
    });
  const get = (name: string) => w.client.get(Secret, { namespace, name });
  const names = ['idle', 'condemned', 'reprieved', 'mounted'].map((name) => ({ name }));
  await w.client.create(ServiceAccount, { metadata: { name: 'robot', namespace }, secrets: names });
  await secret('idle');
  await secret('condemned', marked('2020-01-01'));
  await secret('reprieved', { ...marked('2020-01-01'), ...used('2099-01-01') });
  await secret('mounted', marked('2020-01-01'));
  await secret('by-hand', marked('2020-01-01'));
  await w.client.create(Pod, {
    metadata: { name: 'mounts', namespace },
    spec: {
      containers: [{ name: 'c', image: 'x' }],
      volumes: [{ name: 'token', secret: { secretName: 'mounted' } }],
    },
  });
  const cleaner = { controllers: ['legacy-service-account-token-cleaner'], legacyServiceAccountTokenCleanUpPeriod: 1 };
  const untracked = await w.another(cleaner);
  // The apiserver notes uses only since today: nothing is judged.
  await untracked.stop();
  expect((await get('condemned')).metadata.labels).toEqual(marked('2020-01-01'));

  // As if it had done so for years.
  await w.client.patch(
    ConfigMap,
    { namespace: 'kube-system', name: 'kube-apiserver-legacy-service-account-token-tracking' },
    { data: { since: '2020-01-01' } },
  );
  const tracked = await w.another(cleaner);
  await eventually(async () => {
    expect((await get('idle')).metadata.labels).toEqual(marked(new Date().toISOString().slice(0, 10)));
    expect(await get('condemned').then(() => false, isNotFound)).toBe(true);
    expect((await get('reprieved')).metadata.labels).toEqual(used('2099-01-01'));
    expect((await get('mounted')).metadata.labels ?? {}).toEqual({});
  });
  expect((await get('by-hand')).metadata.labels).toEqual(marked('2020-01-01'));
  await tracked.stop();
});
