import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startEtcd, type EtcdProcess } from './etcd-process.ts';
import { startServer, type Json, type TestServer } from './harness.ts';
import { eventually } from '../eventually.ts';

let etcd: EtcdProcess;
let s: TestServer;
beforeAll(async () => {
  etcd = await startEtcd();
  s = await startServer({ etcdServers: [etcd.url] });
});
afterAll(async () => {
  await s.stop();
  await etcd.stop();
});

const statuses = async () => {
  const { json, headers } = await s.call('GET', '/api/v1/componentstatuses');
  const items = json['items'] as unknown as { metadata: { name: string }; conditions: Json[] }[];
  return {
    headers,
    healthy: Object.fromEntries(items.map(({ metadata, conditions }) => [metadata.name, conditions[0]])),
  };
};
const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases';
const lease = (name: string, renewed: number, holderIdentity = 'me') =>
  s.call('POST', leases, {
    metadata: { name },
    spec: { holderIdentity, leaseDurationSeconds: 15, renewTime: new Date(renewed).toISOString().replace('Z', '000Z') },
  });

test('parts are healthy when etcd answers and leaders renew their leases; the API warns that it is deprecated', async () => {
  expect((await statuses()).healthy).toMatchObject({
    'etcd-0': { type: 'Healthy', status: 'True', message: 'ok' },
    scheduler: { status: 'False', message: 'nobody holds the lease kube-system/km-scheduler' },
  });
  await lease('km-scheduler', Date.now());
  await lease('km-controller-manager', Date.now() - 60_000);
  const { healthy, headers } = await statuses();
  expect(healthy).toMatchObject({
    scheduler: { status: 'True', message: 'ok' },
    'controller-manager': { status: 'False', message: expect.stringContaining('me has not renewed the lease') },
  });
  expect(headers['warning']).toContain('v1 ComponentStatus is deprecated in v1.19+');
  expect((await s.call('GET', '/api/v1/componentstatuses/scheduler')).json).toMatchObject({ kind: 'ComponentStatus' });
  expect((await s.call('GET', '/api/v1/componentstatuses/none')).status).toBe(404);
});

test('each etcd is asked by itself', async () => {
  const other = await startServer({ etcdServers: [etcd.url, 'http://127.0.0.1:1'] });
  try {
    for (const [name, status] of [
      ['etcd-0', 'True'],
      ['etcd-1', 'False'],
    ])
      expect((await other.call('GET', `/api/v1/componentstatuses/${name}`)).json['conditions']).toMatchObject([
        { status },
      ]);
  } finally {
    await other.stop();
  }
});

// https://kubernetes.io/docs/reference/using-api/health-checks/
test('health can be asked for part by part, in words, and without a part', async () => {
  const get = (path: string) => s.call('GET', path);
  for (const endpoint of ['healthz', 'livez', 'readyz']) {
    expect(await get(`/${endpoint}`)).toMatchObject({ status: 200, text: 'ok' });
    expect((await get(`/${endpoint}?verbose`)).text).toMatch(
      new RegExp(`^\\[\\+\\]ping ok\n\\[\\+\\]etcd ok\n[^]*${endpoint} check passed\n$`),
    );
    expect(await get(`/${endpoint}/etcd`)).toMatchObject({ status: 200, text: 'ok' });
  }
  expect((await get('/readyz/none')).status).toBe(404);
  etcd.freeze();
  try {
    // It may answer once more before it has stopped.
    await eventually(async () =>
      expect((await get('/readyz')).text).toMatch(/^\[\+\]ping ok\n\[-\]etcd failed: reason withheld\n/),
    );
    expect((await get('/readyz/etcd')).status).toBe(500);
    expect((await get('/readyz/ping')).status).toBe(200);
    expect(await get('/readyz?exclude=etcd')).toMatchObject({ status: 200, text: 'ok' });
    expect((await get('/readyz?verbose&exclude=etcd')).text).toContain('[+]etcd excluded: ok\n');
    expect((await statuses()).healthy['etcd-0']).toMatchObject({ status: 'False' });
  } finally {
    etcd.thaw();
  }
});
