import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openEmbedded } from '../../apiserver/embedded.ts';
import { startEtcd, type EtcdProcess } from './etcd-process.ts';
import { follow, type WatchEvent } from './follow.ts';
import { startServer, type TestServer, listOf } from './harness.ts';

const cms = '/api/v1/namespaces/default/configmaps';
const pods = '/api/v1/namespaces/default/pods';
const tableType = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' };

const brief = (events: WatchEvent[]) =>
  events.map(({ type, object }) => `${type} ${String(object['metadata']!['name'])}`);
const merge = { 'content-type': 'application/merge-patch+json' };

let etcd: EtcdProcess;
beforeAll(async () => {
  etcd = await startEtcd();
});
afterAll(() => etcd.stop());

describe.each(['embedded', 'etcd'])('reading from %s', (which) => {
  let s: TestServer;
  const call: TestServer['call'] = (...args) => s.call(...args);
  const versionOf = async () => String((await call('GET', cms)).json['metadata']!['resourceVersion']);

  beforeAll(async () => {
    s = await startServer(which === 'etcd' ? { etcdServers: [etcd.url], watchHistory: 16 } : { watchHistory: 16 });
  });
  afterAll(() => s.stop());

  test('what is no object of a kind has no Table: 406', async () => {
    const review = { spec: { nonResourceAttributes: { path: '/', verb: 'get' } } };
    const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
    expect((await call('POST', path, review, tableType)).json).toMatchObject({
      code: 406,
      reason: 'NotAcceptable',
    });
    const only = { accept: 'application/json' };
    expect((await call('POST', path, review, only)).json['status']).toEqual({ allowed: true });
  });

  test('a list follows a write at once, in key order', async () => {
    for (const name of ['b', 'c', 'a']) {
      await call('POST', cms, { metadata: { name, labels: { l: name } } });
      const names = listOf((await call('GET', cms)).json['items']);
      expect(names.map((item) => item['metadata']!['name'])).toContain(name);
    }
    const { json } = await call('GET', cms);
    expect(json).toMatchObject({
      kind: 'ConfigMapList',
      apiVersion: 'v1',
      items: [{ metadata: { name: 'a' } }, { metadata: { name: 'b' } }, { metadata: { name: 'c' } }],
    });
  });

  test('lists page by page, of one moment', async () => {
    const first = (await call('GET', `${cms}?limit=2`)).json;
    expect(first).toMatchObject({ metadata: { remainingItemCount: 1, continue: expect.any(String) }, items: [{}, {}] });
    await call('POST', cms, { metadata: { name: 'bb' } });
    const next = (await call('GET', `${cms}?limit=2&continue=${String(first['metadata']!['continue'])}`)).json;
    expect(listOf(next['items']).map((item) => item['metadata']!['name'])).toEqual(['c']);
    expect(next['metadata']!['resourceVersion']).toBe(first['metadata']!['resourceVersion']);
    await call('DELETE', `${cms}/bb`);
  });

  test('lists the past exactly, the present not older than asked, and refuses the future', async () => {
    const before = await versionOf();
    await call('POST', cms, { metadata: { name: 'new' } });
    const exact = (await call('GET', `${cms}?resourceVersion=${before}&resourceVersionMatch=Exact`)).json;
    expect(listOf(exact['items']).map((item) => item['metadata']!['name'])).not.toContain('new');
    expect((await call('GET', `${cms}?resourceVersion=${before}&resourceVersionMatch=NotOlderThan`)).status).toBe(200);
    expect((await call('GET', `${cms}?resourceVersion=0`)).status).toBe(200);
    expect((await call('GET', `${cms}?resourceVersion=99999999`)).json).toMatchObject({
      code: 504,
      reason: 'Timeout',
      message: expect.stringContaining('Too large resource version: 99999999'),
    });
    await call('DELETE', `${cms}/new`);
  });

  test('selects by label and field', async () => {
    const names = async (query: string) =>
      listOf((await call('GET', `${cms}?${query}`)).json['items']).map((item) => item['metadata']!['name']);
    expect(await names('labelSelector=l%20in%20(a,b)')).toEqual(['a', 'b']);
    expect(await names('fieldSelector=metadata.name%3Dc')).toEqual(['c']);
    expect(await names('fieldSelector=metadata.name!%3Dc,metadata.namespace%3Ddefault')).toEqual(['a', 'b']);
  });

  test('answers tables and metadata alone', async () => {
    await call('POST', pods, { metadata: { name: 'shown' }, spec: { containers: [{ name: 'c', image: 'i' }] } });
    const table = (await call('GET', pods, undefined, tableType)).json;
    expect(table).toMatchObject({
      kind: 'Table',
      apiVersion: 'meta.k8s.io/v1',
      rows: [
        {
          cells: ['shown', '0/1', 'Pending', '0', expect.any(String), '<none>', '<none>', '<none>', '<none>'],
          object: { kind: 'PartialObjectMetadata', metadata: { name: 'shown' } },
        },
      ],
    });
    const partial = await call('GET', pods, undefined, {
      accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io',
    });
    expect(partial.json).toMatchObject({ kind: 'PartialObjectMetadataList', items: [{ metadata: { name: 'shown' } }] });
    expect(partial.json['items']![0]!['spec']).toBeUndefined();
    const yaml = await call('GET', `${pods}/shown`, undefined, { accept: 'application/yaml' });
    expect(yaml.text).toContain('kind: Pod\n');
  });

  test('a watch tells every change after a revision, in order', async () => {
    const from = await versionOf();
    await call('POST', cms, { metadata: { name: 'w' } });
    const w = await follow(s, `${cms}?watch=1&resourceVersion=${from}`);
    await call('PATCH', `${cms}/w`, { data: { a: 'b' } }, merge);
    await call('DELETE', `${cms}/w`);
    const events = await w.next(3);
    expect(brief(events)).toEqual(['ADDED w', 'MODIFIED w', 'DELETED w']);
    expect(events[2]!.object).toMatchObject({ kind: 'ConfigMap', data: { a: 'b' } });
    const revisions = events.map(({ object }) => Number(object['metadata']!['resourceVersion']));
    expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
    expect(new Set(revisions).size).toBe(3);
    w.close();
  });

  test('a watch with a selector tells when an object enters and leaves it', async () => {
    const w = await follow(s, `${cms}?watch=true&labelSelector=in%3Dyes&resourceVersion=${await versionOf()}`);
    await call('POST', cms, { metadata: { name: 'sel' } });
    await call('PATCH', `${cms}/sel`, { metadata: { labels: { in: 'yes' } } }, merge);
    await call('PATCH', `${cms}/sel`, { data: { a: '1' } }, merge);
    await call('PATCH', `${cms}/sel`, { metadata: { labels: { in: 'no' } } }, merge);
    const events = await w.next(3);
    expect(brief(events)).toEqual(['ADDED sel', 'MODIFIED sel', 'DELETED sel']);
    expect(events[2]!.object).toMatchObject({ metadata: { labels: { in: 'yes' } } });
    w.close();
    await call('DELETE', `${cms}/sel`);
  });

  test('a streaming list ends with the bookmark that says so', async () => {
    const w = await follow(
      s,
      `${cms}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`,
    );
    const events = await w.next(4);
    expect(events.map(({ type }) => type)).toEqual(['ADDED', 'ADDED', 'ADDED', 'BOOKMARK']);
    expect(events[3]!.object).toMatchObject({
      kind: 'ConfigMap',
      metadata: { annotations: { 'k8s.io/initial-events-end': 'true' }, resourceVersion: expect.any(String) },
    });
    w.close();
  });

  test('a watch of tables carries rows', async () => {
    const w = await follow(s, `${pods}?watch=1&fieldSelector=metadata.name%3Dshown`, tableType);
    expect(await w.next(1)).toMatchObject([
      { type: 'ADDED', object: { kind: 'Table', rows: [{ cells: expect.any(Array) }] } },
    ]);
    w.close();
  });

  test('a watch from before the kept history is refused as expired', async () => {
    const old = await versionOf();
    for (let i = 0; i < 40; i++) await call('PATCH', `${cms}/a`, { data: { i: String(i) } }, merge);
    expect((await call('GET', `${cms}?watch=1&resourceVersion=${old}`)).json).toMatchObject({
      code: 410,
      reason: 'Expired',
      message: expect.stringContaining('too old resource version'),
    });
  });

  test('a watch ends after the seconds it asked for', async () => {
    const w = await follow(s, `${cms}?watch=1&timeoutSeconds=1&resourceVersion=${await versionOf()}`);
    expect(await w.ended()).toBe(true);
  });

  test('a hundred watchers see the same', async () => {
    const from = await versionOf();
    const all = await Promise.all(
      Array.from({ length: 100 }, () => follow(s, `/api/v1/configmaps?watch=1&resourceVersion=${from}`)),
    );
    await Promise.all(
      Array.from({ length: 20 }, (_, i) => call('PATCH', `${cms}/b`, { data: { [`k${i}`]: '1' } }, merge)),
    );
    const seen = await Promise.all(all.map(async (w) => JSON.stringify(await w.next(20))));
    expect(new Set(seen).size).toBe(1);
    all.forEach((w) => w.close());
  });
});

test('when etcd dies the server says so, and goes on by itself when it is back', async () => {
  const own = await startEtcd();
  const s = await startServer({ etcdServers: [own.url] });
  try {
    const made = await s.call('POST', cms, { metadata: { name: 'kept' } });
    const w = await follow(s, `${cms}?watch=1&resourceVersion=${String(made.json['metadata']!['resourceVersion'])}`);
    await own.kill();
    expect((await s.call('POST', cms, { metadata: { name: 'lost' } })).json).toMatchObject({
      kind: 'Status',
      code: expect.any(Number),
      reason: expect.stringMatching(/ServiceUnavailable|Timeout/),
    });
    expect((await s.call('GET', '/readyz')).text).toContain('[-]etcd failed');
    expect((await s.call('GET', '/livez/ping')).status).toBe(200);
    await own.restart();
    let again = await s.call('POST', cms, { metadata: { name: 'after' } });
    for (let i = 0; i < 50 && again.status !== 201; i++)
      again = await s.call('POST', cms, { metadata: { name: 'after' } });
    expect(again.status).toBe(201);
    expect(brief(await w.next(1))).toEqual(['ADDED after']);
    expect((await s.call('GET', `${cms}/kept`)).status).toBe(200);
    expect((await s.call('GET', '/readyz')).text).toBe('ok');
    w.close();
  } finally {
    await s.stop();
    await own.stop();
  }
});

test('of two servers on one etcd each reads at once what the other wrote, and no address is given twice', async () => {
  const own = await startEtcd();
  const servers = [await startServer({ etcdServers: [own.url] }), await startServer({ etcdServers: [own.url] })];
  const [one, two] = servers as [TestServer, TestServer];
  try {
    for (let i = 0; i < 20; i++) {
      const [writer, reader] = i % 2 ? [one, two] : [two, one];
      await writer.call('POST', cms, { metadata: { name: `c${i}` } });
      expect((await reader.call('GET', `${cms}/c${i}`)).status).toBe(200);
      expect((await reader.call('GET', cms)).json['items']).toHaveLength(i + 1);
    }
    const services = Array.from({ length: 30 }, (_, i) =>
      servers[i % 2]!.call('POST', '/api/v1/namespaces/default/services', {
        metadata: { name: `s${i}` },
        spec: { ports: [{ port: 80 }] },
      }),
    );
    const ips = (await Promise.all(services)).map(({ json }) => json['spec']!['clusterIP']);
    expect(new Set(ips).size).toBe(30);
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
    await own.stop();
  }
});

test('a paged list whose history is gone says so, with a token that leads through what there is now', async () => {
  const store = openEmbedded(':memory:');
  const s = await startServer({}, { store });
  try {
    for (const name of ['a', 'b', 'c']) await s.call('POST', cms, { metadata: { name } });
    const first = (await s.call('GET', `${cms}?limit=1`)).json;
    await s.call('DELETE', `${cms}/b`);
    await s.call('POST', cms, { metadata: { name: 'd' } });
    const { json: now } = await s.call('GET', cms);
    await store.compact(Number(now['metadata']!['resourceVersion']));
    const gone = await s.call('GET', `${cms}?limit=1&continue=${String(first['metadata']!['continue'])}`);
    expect(gone.json).toMatchObject({ code: 410, reason: 'Expired', metadata: { continue: expect.any(String) } });
    const rest = await s.call('GET', `${cms}?continue=${String(gone.json['metadata']!['continue'])}`);
    const names = listOf(rest.json['items']).map((item) => item['metadata']!['name']);
    expect(names).toEqual(['c', 'd']);
  } finally {
    await s.stop();
    await store.close();
  }
});

test('a first page of a named revision is of that revision; a list knows no initial events', async () => {
  const s = await startServer();
  try {
    const made = await s.call('POST', cms, { metadata: { name: 'a' } });
    await s.call('POST', cms, { metadata: { name: 'b' } });
    const { json } = await s.call(
      'GET',
      `${cms}?limit=5&resourceVersion=${String(made.json['metadata']!['resourceVersion'])}`,
    );
    expect(json['items']).toHaveLength(1);
    expect((await s.call('GET', `${cms}?sendInitialEvents=true`)).json).toMatchObject({ code: 422, reason: 'Invalid' });
  } finally {
    await s.stop();
  }
});
