import { expect, test } from '@jest/globals';
import { DaemonSet } from '../../api/kinds/daemon-set.ts';
import { Node } from '../../api/kinds/node.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { StatefulSet } from '../../api/kinds/stateful-set.ts';
import { eventually } from '../eventually.ts';
import { deleteCollection } from '../client/every-verb.ts';
import { aroundTests } from './around-tests.ts';
import { type Controllers, allButNone, deployment } from './harness.ts';
import { statusEndpoints } from './status-endpoints.ts';

// Each test has the name of a conformance test of Kubernetes 1.23 and its promise; kubelets are played, so pods just run.

let c: Controllers;
const nodes = ['a', 'b'];
aroundTests(async (started) => {
  c = started;
  for (const name of nodes)
    await c.client.create(Node, { metadata: { name }, status: { conditions: [{ type: 'Ready', status: 'True' }] } });
}, allButNone);

const namespace = 'default';
const ref = (name: string) => ({ namespace, name });
const template = (name: string, image = 'x:1') => deployment(name, 1, image).spec.template;
const image = (name: string, of: string) => ({ spec: { template: template(name, of) } });
const imagesOf = async (app: string) =>
  Object.fromEntries((await c.podsOf(app)).map(({ metadata, spec }) => [metadata.name, spec.containers[0]?.image]));
const uidsOf = async (app: string) => new Set((await c.podsOf(app)).map(({ metadata }) => metadata.uid));

const daemons = async (name: string) => {
  const selector = { matchLabels: { app: name } };
  await c.client.create(DaemonSet, {
    metadata: { ...ref(name), labels: { app: name } },
    spec: { selector, template: template(name) },
  });
  await daemonsReady(name);
};
const daemonsReady = (name: string) =>
  eventually(async () => {
    const { metadata, status } = await c.client.get(DaemonSet, ref(name));
    const observedGeneration = metadata.generation;
    expect(status).toMatchObject({ numberReady: 2, updatedNumberScheduled: 2, observedGeneration });
  });

test('Daemon set should run and stop simple daemon', async () => {
  await daemons('simple');
  const [first] = await c.podsOf('simple');
  if (first) await c.client.delete(Pod, first.metadata, { gracePeriodSeconds: 0 });
  await daemonsReady('simple');
  await eventually(async () => {
    const uids = await uidsOf('simple');
    expect([uids.size, uids.has(first?.metadata.uid ?? '')]).toEqual([2, false]);
  });
  await c.client.delete(DaemonSet, ref('simple'));
  await eventually(async () =>
    expect((await c.podsOf('simple')).filter(({ metadata }) => !metadata.deletionTimestamp)).toEqual([]),
  );
});

test('Daemon set should rollback without unnecessary restarts', async () => {
  await daemons('back');
  const before = await uidsOf('back');
  await c.client.patch(DaemonSet, ref('back'), image('back', 'none'));
  const spoiled = await eventually(async () => {
    // A kubelet lets the old pod go.
    for (const { metadata } of (await c.client.list(Pod, { labelSelector: 'app=back' })).items)
      if (metadata.deletionTimestamp) await c.client.delete(Pod, metadata, { gracePeriodSeconds: 0 });
    const found = (await c.podsOf('back')).filter(({ spec }) => spec.containers[0]?.image === 'none');
    expect(found).toHaveLength(1);
    return found[0];
  });
  const untouched = [...(await uidsOf('back'))].filter((uid) => before.has(uid));
  expect(untouched).toHaveLength(1);
  await c.client.patch(DaemonSet, ref('back'), image('back', 'x:1'));
  await eventually(async () => {
    for (const { metadata } of (await c.client.list(Pod, { labelSelector: 'app=back' })).items)
      if (metadata.deletionTimestamp) await c.client.delete(Pod, metadata, { gracePeriodSeconds: 0 });
    expect(Object.values(await imagesOf('back'))).toEqual(['x:1', 'x:1']);
  });
  await daemonsReady('back');
  const uids = await uidsOf('back');
  expect([uids.has(untouched[0] ?? ''), uids.has(spoiled?.metadata.uid ?? '')]).toEqual([true, false]);
});

test('Daemon set should list and delete a collection of DaemonSets', async () => {
  await daemons('collected');
  expect((await c.client.list(DaemonSet, { labelSelector: 'app=collected' })).items).toHaveLength(1);
  await deleteCollection(c.client, DaemonSet, 'app=collected', namespace);
  expect((await c.client.list(DaemonSet, { labelSelector: 'app=collected' })).items).toEqual([]);
});

test('Daemon set should verify changes to a daemon set status', async () => {
  await daemons('told');
  await statusEndpoints(c.client, DaemonSet, ref('told'), { minReadySeconds: 7 });
});

const stateful = async (name: string, replicas: number, spec: Partial<StatefulSet['spec']> = {}) => {
  const selector = { matchLabels: { app: name } };
  await c.client.create(StatefulSet, {
    metadata: { ...ref(name), labels: { app: name } },
    spec: { replicas, serviceName: name, selector, template: template(name), ...spec },
  });
  await statefulReady(name, replicas);
};
const statefulReady = (name: string, readyReplicas: number) =>
  eventually(async () => {
    const { metadata, status } = await c.client.get(StatefulSet, ref(name));
    expect(status).toMatchObject({ readyReplicas, observedGeneration: metadata.generation });
  });
const partitioned = (partition: number) => ({
  updateStrategy: { type: 'RollingUpdate' as const, rollingUpdate: { partition } },
});

test('StatefulSet Basic StatefulSet functionality should list, patch and delete a collection of StatefulSets', async () => {
  await stateful('collected', 1);
  const patched = await c.client.patch(StatefulSet, ref('collected'), {
    metadata: { labels: { patched: 'yes' } },
    spec: { replicas: 2, template: template('collected', 'x:2') },
  });
  expect(patched.metadata.labels).toEqual({ app: 'collected', patched: 'yes' });
  await eventually(async () =>
    expect(await imagesOf('collected')).toEqual({ 'collected-0': 'x:2', 'collected-1': 'x:2' }),
  );
  const labelSelector = 'patched=yes';
  expect((await c.client.list(StatefulSet, { labelSelector })).items).toHaveLength(1);
  await deleteCollection(c.client, StatefulSet, labelSelector, namespace);
  expect((await c.client.list(StatefulSet, { labelSelector })).items).toEqual([]);
});

test('StatefulSet Basic StatefulSet functionality should validate Statefulset Status endpoints', async () => {
  await stateful('set-told', 1);
  await statusEndpoints(c.client, StatefulSet, ref('set-told'), { minReadySeconds: 7 });
});

test('StatefulSet Basic StatefulSet functionality should perform canary updates and phased rolling updates of template modifications', async () => {
  await stateful('phased', 3, partitioned(3));
  const remake = async (name: string) => {
    await c.client.delete(Pod, ref(name), { gracePeriodSeconds: 0 });
    await eventually(async () => expect((await c.client.get(Pod, ref(name))).status?.phase).toBe('Running'));
  };
  await c.client.patch(StatefulSet, ref('phased'), image('phased', 'x:2'));
  await statefulReady('phased', 3);
  const all = (...of: string[]) => Object.fromEntries(of.map((one, i) => [`phased-${i}`, one]));
  expect(await imagesOf('phased')).toEqual(all('x:1', 'x:1', 'x:1'));
  // The canary: the highest is new, and those below are made again as they were.
  await c.client.patch(StatefulSet, ref('phased'), { spec: partitioned(2) });
  await eventually(async () => expect(await imagesOf('phased')).toEqual(all('x:1', 'x:1', 'x:2')));
  await statefulReady('phased', 3);
  for (const name of ['phased-0', 'phased-2']) await remake(name);
  expect(await imagesOf('phased')).toEqual(all('x:1', 'x:1', 'x:2'));
  // In phases.
  for (const partition of [1, 0]) {
    await c.client.patch(StatefulSet, ref('phased'), { spec: partitioned(partition) });
    const expected = [0, 1, 2].map((i) => (i >= partition ? 'x:2' : 'x:1'));
    await eventually(async () => expect(await imagesOf('phased')).toEqual(all(...expected)));
  }
  await eventually(async () => {
    const { status } = await c.client.get(StatefulSet, ref('phased'));
    expect(status).toMatchObject({ currentReplicas: 3, updatedReplicas: 3, currentRevision: status?.updateRevision });
  });
});
