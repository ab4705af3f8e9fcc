import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openEmbedded } from '../../apiserver/embedded.ts';
import { openEtcd } from '../../apiserver/etcd.ts';
import { silent } from '../../lib/log.ts';
import { startEtcd, type EtcdProcess } from './etcd-process.ts';
import { storeSuite } from './store.suite.ts';

let etcd: EtcdProcess;
let count = 0;
const connect = () =>
  openEtcd({
    endpoints: [etcd.url],
    ca: undefined,
    cert: undefined,
    key: undefined,
    user: '',
    password: '',
    log: silent,
  });

beforeAll(async () => {
  etcd = await startEtcd();
});
afterAll(() => etcd.stop());

storeSuite('etcd', async () => ({ store: connect(), prefix: `/registry/t${count++}/` }));
storeSuite('embedded', async () => ({ store: openEmbedded(':memory:'), prefix: '/registry/t/' }));

test('the embedded store keeps its file over a restart, and its revisions go on', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'km-store-'));
  try {
    const path = join(dir, 'store.db');
    const first = openEmbedded(path);
    const written = await first.put('/registry/a', Buffer.from('one'), 0);
    expect(() => openEmbedded(path)).toThrow('is another process using it?');
    await first.close();
    const second = openEmbedded(path);
    const { item, revision } = await second.get('/registry/a');
    expect(Buffer.from(item!.value).toString()).toBe('one');
    expect(written).toMatchObject({ ok: true, revision });
    await second.close();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test('a watch of etcd resumes without loss when etcd was killed and came back', async () => {
  const store = connect();
  const stop = new AbortController();
  const first = await store.put('/registry/resume/a', Buffer.from('1'), 0);
  if (!first.ok) throw new Error('not written');
  const keys: string[] = [];
  const seen = (async () => {
    for await (const { events } of store.watch('/registry/resume/', first.revision, stop.signal)) {
      for (const change of events) if (change.type === 'put') keys.push(change.item.key);
      if (keys.length >= 2) return;
    }
  })();
  await store.put('/registry/resume/b', Buffer.from('2'), 0);
  await etcd.kill();
  await expect(store.get('/registry/resume/a')).rejects.toThrow(/etcd/);
  await etcd.restart();
  await store.put('/registry/resume/c', Buffer.from('3'), 0);
  await seen;
  stop.abort();
  expect(keys).toEqual(['/registry/resume/b', '/registry/resume/c']);
  await store.close();
});

test('the second endpoint serves when the first is not there', async () => {
  const store = openEtcd({
    endpoints: ['http://127.0.0.1:1', etcd.url],
    ca: undefined,
    cert: undefined,
    key: undefined,
    user: '',
    password: '',
    log: silent,
  });
  await store.ping();
  await store.close();
});
