import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { CSIDriver } from '../../api/kinds/csi-driver.ts';
import { CSIStorageCapacity } from '../../api/kinds/csi-storage-capacity.ts';
import { Namespace } from '../../api/kinds/namespace.ts';
import { PersistentVolumeClaim } from '../../api/kinds/persistent-volume-claim.ts';
import type { Pod } from '../../api/kinds/pod.ts';
import { Service } from '../../api/kinds/service.ts';
import { StorageClass } from '../../api/kinds/storage-class.ts';
import type { Client } from '../../client/client.ts';
import { Informers } from '../../client/informer.ts';
import { silent } from '../../lib/log.ts';
import { followWorld, worldOf } from '../../scheduler/world.ts';
import type { World } from '../../scheduler/plugin.ts';
import { type TestServer, startServer } from '../apiserver/harness.ts';
import { eventually } from '../eventually.ts';
import { makePod } from './builders.ts';

let server: TestServer;
let client: Client;
let world: World;
const stopping = new AbortController();
/** Which of the pods each change may help. */
const helped: string[][] = [];

const claiming = (name: string, claimName: string) =>
  makePod(name, { volumes: [{ name: 'v', persistentVolumeClaim: { claimName } }] });
const near = makePod('near', {
  affinity: {
    podAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [
        { topologyKey: 'kubernetes.io/hostname', labelSelector: {}, namespaceSelector: { matchLabels: { a: 'b' } } },
      ],
    },
  },
});
const served = makePod('served', {}, { labels: { app: 'web', rev: '2' } });
const pods = [makePod('plain'), served, claiming('mine', 'data'), claiming('other', 'else'), near];

beforeAll(async () => {
  server = await startServer();
  client = server.client();
  const informers = new Informers(client, silent);
  world = worldOf(informers);
  followWorld(informers, (helps: (pod: Pod) => boolean) =>
    helped.push(pods.filter(helps).map(({ metadata }) => metadata.name)),
  );
  await informers.start(stopping.signal);
});
afterAll(async () => {
  stopping.abort();
  await server.stop();
});

const after = async (change: () => Promise<unknown>) => {
  helped.length = 0;
  await change();
  await eventually(() => expect(helped).not.toEqual([]));
  return helped;
};

test('a claim may help who names it, a class whoever has claims, labels of a namespace who looks for them', async () => {
  const claim: PersistentVolumeClaim = {
    metadata: { name: 'data', namespace: 'default' },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  };
  expect(await after(() => client.create(PersistentVolumeClaim, claim))).toEqual([['mine']]);
  const fast = { metadata: { name: 'fast' }, provisioner: 'example.com/fast' };
  expect(await after(() => client.create(StorageClass, fast))).toEqual([['mine', 'other']]);
  const label = async () => {
    // What only says something else changes nothing.
    await client.patch(Namespace, { name: 'default' }, { metadata: { annotations: { said: 'yes' } } });
    await client.patch(Namespace, { name: 'default' }, { metadata: { labels: { a: 'b' } } });
  };
  const before = world.namespaceChanges!();
  expect(await after(label)).toEqual([['near']]);
  expect(world.namespaceChanges!()).toBe(before + 1);
});

test('room for volumes is known of drivers that tell of it', async () => {
  const fast: StorageClass = { metadata: { name: 'fast' }, provisioner: 'fast.example.com' };
  const room = { metadata: { name: 'room', namespace: 'default' }, storageClassName: 'fast', capacity: '1Gi' };
  expect(await after(() => client.create(CSIStorageCapacity, room))).toEqual([['mine', 'other']]);
  expect(world.storage!.capacities(fast)).toBeUndefined();
  const driver = { metadata: { name: 'fast.example.com' }, spec: { storageCapacity: true } };
  expect(await after(() => client.create(CSIDriver, driver))).toEqual([['mine', 'other']]);
  expect(world.storage!.capacities(fast)).toMatchObject([room]);
  expect(world.storage!.capacities({ ...fast, metadata: { name: 'slow' } })).toEqual([]);
});

test('a service may help the pods it selects, those it selected before, too', async () => {
  const selector = { app: 'web' };
  const service = { metadata: { name: 'web', namespace: 'default' }, spec: { selector, ports: [{ port: 80 }] } };
  expect(await after(() => client.create(Service, service))).toEqual([['served']]);
  const change = async () => {
    // What only says something else changes nothing.
    await client.patch(Service, service.metadata, { metadata: { annotations: { said: 'yes' } } });
    await client.patch(Service, service.metadata, { spec: { selector: { rev: '1' } } });
  };
  expect(await after(change)).toEqual([['served']]);
  expect(await after(() => client.delete(Service, service.metadata))).toEqual([[]]);
});
