import { hostname } from 'node:os';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Lease } from '../../api/kinds/lease.ts';
import { openEmbedded } from '../../apiserver/embedded.ts';
import type { Store } from '../../apiserver/store.ts';
import { eventually } from '../eventually.ts';
import { type TestServer, listOf, startServer } from './harness.ts';

const path = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases';
const ours = `${path}?labelSelector=apiserver.kubernetes.io/identity%3Dkube-apiserver`;
const microTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

let store: Store;
beforeAll(() => void (store = openEmbedded(':memory:')));
afterAll(() => store.close());

const leases = async (s: TestServer, at = ours) => listOf<Lease>((await s.call('GET', at)).json['items']);
const theOnly = async (s: TestServer): Promise<Lease> =>
  eventually(async () => {
    const [lease, ...others] = await leases(s);
    expect(others).toEqual([]);
    if (!lease) throw new Error('there is no lease yet');
    return lease;
  });

test('a server tells of itself by a lease that it renews; two of one machine have one each', async () => {
  const s = await startServer({ identityLeaseRenewInterval: 100 }, { store });
  const lease = await theOnly(s);
  expect(lease.metadata).toMatchObject({
    name: expect.stringMatching(/^apiserver-[a-z2-7]{26}$/),
    labels: { 'apiserver.kubernetes.io/identity': 'kube-apiserver', 'kubernetes.io/hostname': hostname() },
  });
  expect(lease.spec).toEqual({
    holderIdentity: expect.stringMatching(new RegExp(`^${lease.metadata.name}_[0-9a-f-]{36}$`)),
    leaseDurationSeconds: 3600,
    renewTime: expect.stringMatching(microTime),
  });
  await eventually(async () => {
    const { metadata, spec } = await theOnly(s);
    expect(spec?.renewTime).not.toBe(lease.spec?.renewTime);
    expect([metadata.uid, spec?.holderIdentity]).toEqual([lease.metadata.uid, lease.spec?.holderIdentity]);
  });
  const other = await startServer({}, { store });
  await eventually(async () => expect(await leases(s)).toHaveLength(2));
  await other.stop();
  await s.stop();
});

test('a server that starts anew takes the place of its earlier life, and nobody else’s', async () => {
  const s = await startServer({}, { store });
  const before = await eventually(async () => {
    const found = (await leases(s)).length;
    expect(found).toBe(3);
    return leases(s);
  });
  await s.stop();
  const again = await startServer({ port: s.port }, { store });
  await eventually(async () => {
    const now = await leases(again);
    expect(now.map(({ metadata }) => metadata.name).sort()).toEqual(before.map(({ metadata }) => metadata.name).sort());
    const old = new Set(before.map(({ metadata }) => metadata.uid));
    expect(now.filter(({ metadata }) => !old.has(metadata.uid))).toHaveLength(1);
  });
  await again.stop();
});

test('leases of servers that are gone are deleted, those of others and of who lives stay', async () => {
  const s = await startServer({ identityLeaseRenewInterval: 0 }, { store });
  for (const { metadata } of await leases(s)) await s.call('DELETE', `${path}/${metadata.name}`);
  const make = async (name: string, identity: string, spec: object) =>
    expect(
      (
        await s.call('POST', path, {
          metadata: { name, labels: { 'apiserver.kubernetes.io/identity': identity } },
          spec,
        })
      ).status,
    ).toBe(201);
  const renewTime = (agoMs: number) => new Date(Date.now() - agoMs).toISOString().replace('Z', '000Z');
  await make('gone', 'kube-apiserver', { leaseDurationSeconds: 10, renewTime: renewTime(11_000) });
  await make('without-duration', 'kube-apiserver', { renewTime: renewTime(0) });
  await make('never-renewed', 'kube-apiserver', { leaseDurationSeconds: 10 });
  await make('living', 'kube-apiserver', { leaseDurationSeconds: 3600, renewTime: renewTime(11_000) });
  await make('of-another-kind', 'other-server', { leaseDurationSeconds: 10, renewTime: renewTime(11_000) });
  const names = async (at: TestServer) => (await leases(at, path)).map(({ metadata }) => metadata.name);
  expect(await names(s)).toHaveLength(5);
  await s.stop();
  const next = await startServer({ identityLeaseRenewInterval: 0 }, { store });
  await eventually(async () => expect(await names(next)).toEqual(['living', 'of-another-kind']));
  await next.stop();
});
