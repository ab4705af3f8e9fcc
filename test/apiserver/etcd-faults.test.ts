import { execFile } from 'node:child_process';
import { connect, createServer, type AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openEtcd } from '../../apiserver/etcd.ts';
import { ConfigMap } from '../../api/kinds/config-map.ts';
import { Client } from '../../client/client.ts';
import { delay } from '../../lib/delay.ts';
import { silent } from '../../lib/log.ts';
import { eventually } from '../eventually.ts';
import { startEtcd, type EtcdProcess } from './etcd-process.ts';
import { adminToken, startServer, type Reply, type TestServer } from './harness.ts';

/** Seconds for which etcd is away at least; more of them by hand. */
const seconds = Number(process.env['KM_OUTAGE_SECONDS'] ?? 0);
const cms = '/api/v1/namespaces/default/configmaps';

/** Refusals that a client can make sense of: a Status with a reason, and never words of Node or gRPC alone. */
function expectClear({ status, json }: Reply): void {
  expect([503, 504]).toContain(status);
  expect(json).toMatchObject({ kind: 'Status', status: 'Failure', code: status });
  expect(['ServiceUnavailable', 'Timeout']).toContain(json['reason'] as unknown);
}

describe('an etcd that', () => {
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

  const faults: [string, string, () => Promise<void>, () => Promise<void>][] = [
    ['stands still', 'frozen', async () => etcd.freeze(), async () => etcd.thaw()],
    ['is killed', 'killed', () => etcd.kill(), () => etcd.restart()],
  ];
  test.each(faults)(
    '%s under load loses no acknowledged write and no event',
    async (_what, prefix, fail, heal) => {
      const client = new Client({ server: s.url, ca: s.ca.pem, token: adminToken });
      const stop = new AbortController();
      const { json } = await s.call('GET', cms);
      const from = (json['metadata'] as unknown as { resourceVersion: string }).resourceVersion;
      const seen: string[] = [];
      const watching = (async () => {
        for await (const event of client.watch(ConfigMap, { namespace: 'default', resourceVersion: from }, stop.signal))
          if (event.type === 'ADDED') seen.push(event.object.metadata.name);
      })().catch(() => undefined);
      const acknowledged: string[] = [];
      const refused: Reply[] = [];
      const writing = [0, 1, 2, 3].map(async (writer) => {
        for (let i = 0; !stop.signal.aborted; i++) {
          const name = `${prefix}-${writer}-${i}`;
          const reply = await s.call('POST', cms, { metadata: { name }, data: { a: 'b' } });
          if (reply.status === 201) acknowledged.push(name);
          else refused.push(reply);
          // A server that answers at once is not to be asked without end.
          await delay(reply.status === 201 ? 5 : 50);
        }
      });
      await eventually(() => expect(acknowledged.length).toBeGreaterThan(20));
      await fail();
      await delay(seconds * 1000);
      await eventually(() => expect(refused.length).toBeGreaterThan(3), 20_000);
      expectClear(await s.call('GET', `${cms}/nothing`));
      await heal();
      const before = acknowledged.length;
      await eventually(() => expect(acknowledged.length).toBeGreaterThan(before + 20), 20_000);
      const known = acknowledged.slice();
      await eventually(() => expect(new Set(seen).size).toBe(seen.length));
      await eventually(() => expect(known.filter((name) => !seen.includes(name))).toEqual([]));
      stop.abort();
      await Promise.all(writing);
      await watching;
      refused.forEach(expectClear);
      const { items } = await client.list(ConfigMap, { namespace: 'default' });
      const stored = new Set(items.map(({ metadata }) => metadata.name));
      expect(acknowledged.filter((name) => !stored.has(name))).toEqual([]);
      await client.close();
    },
    60_000 + seconds * 1000,
  );
});

test('an etcd without space is named in the refusal, reads go on, and so do writes once it has space again', async () => {
  const etcd = await startEtcd(undefined, ['--quota-backend-bytes', String(16 * 1024 * 1024)]);
  const s = await startServer({ etcdServers: [etcd.url] });
  const etcdctl = (...args: string[]) =>
    promisify(execFile)('etcdctl', ['--endpoints', etcd.url, ...args], { env: { ...process.env, ETCDCTL_API: '3' } });
  try {
    const data = { a: 'x'.repeat(500_000) };
    let reply = await s.call('POST', cms, { metadata: { name: 'big' }, data });
    for (let i = 0; reply.status < 300 && i < 200; i++)
      reply = await s.call('PUT', `${cms}/big`, { metadata: { name: 'big' }, data: { ...data, i: String(i) } });
    expectClear(reply);
    expect(reply.json['message']).toContain('etcd is out of space');
    expect((await s.call('GET', `${cms}/big`)).status).toBe(200);
    expect((await s.call('GET', '/readyz')).status).toBe(200);
    expect((await s.call('DELETE', `${cms}/big`)).status).toBe(200);
    const { stdout } = await etcdctl('endpoint', 'status', '--write-out', 'json');
    const [{ Status }] = JSON.parse(stdout) as [{ Status: { header: { revision: number } } }];
    await etcdctl('compact', String(Status.header.revision));
    await etcdctl('defrag');
    await etcdctl('alarm', 'disarm');
    await eventually(async () => expect((await s.call('POST', cms, { metadata: { name: 'again' } })).status).toBe(201));
  } finally {
    await s.stop();
    await etcd.stop();
  }
}, 60_000);

test('an object larger than etcd takes is refused as such', async () => {
  const etcd = await startEtcd();
  const s = await startServer({ etcdServers: [etcd.url] });
  try {
    const spec = { group: 'example.com', scope: 'Namespaced', names: { plural: 'bigs', kind: 'Big' } };
    const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
    const versions = [{ name: 'v1', served: true, storage: true, schema }];
    const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    await s.call('POST', crds, { metadata: { name: 'bigs.example.com' }, spec: { ...spec, versions } });
    const big = { apiVersion: 'example.com/v1', kind: 'Big', metadata: { name: 'b' }, text: 'x'.repeat(2_000_000) };
    await eventually(async () => {
      const { status, json } = await s.call('POST', '/apis/example.com/v1/namespaces/default/bigs', big);
      expect([status, json['reason']]).toEqual([413, 'RequestEntityTooLarge']);
    });
  } finally {
    await s.stop();
    await etcd.stop();
  }
}, 30_000);

test('etcd never finds the connection too chatty, idle or watching', async () => {
  const etcd = await startEtcd(undefined, ['--grpc-keepalive-min-time', '100ms']);
  let connections = 0;
  const { port } = new URL(etcd.url);
  const between = createServer((socket) => {
    connections += 1;
    const upstream = connect(Number(port), '127.0.0.1');
    socket.pipe(upstream).pipe(socket);
    socket.on('error', () => upstream.destroy());
    upstream.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => between.listen(0, '127.0.0.1', resolve));
  const endpoints = [`http://127.0.0.1:${(between.address() as AddressInfo).port}`];
  const options = { ca: undefined, cert: undefined, key: undefined, user: '', password: '', log: silent };
  const store = openEtcd({ ...options, endpoints, pingEveryMs: 200 });
  const stop = new AbortController();
  try {
    // Time is what is tested: with no call open a third ping would be one too many.
    await store.get('/registry/a');
    await delay(1200);
    const { revision } = await store.get('/registry/a');
    const watching = (async () => {
      for await (const { events } of store.watch('/registry/', revision, stop.signal)) if (events.length > 0) return;
    })();
    await delay(1200);
    await store.put('/registry/a', Buffer.from('1'), 0);
    await watching;
    expect(connections).toBe(1);
  } finally {
    stop.abort();
    await store.close();
    between.close();
    await etcd.stop();
  }
}, 20_000);
