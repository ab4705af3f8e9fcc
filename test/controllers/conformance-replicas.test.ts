import { expect, test } from '@jest/globals';
import { Deployment } from '../../api/kinds/deployment.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { ReplicaSet } from '../../api/kinds/replica-set.ts';
import { ReplicationController } from '../../api/kinds/replication-controller.ts';
import type { Stored } from '../../api/meta.ts';
import { eventually } from '../eventually.ts';
import { deleteCollection, heard } from '../client/every-verb.ts';
import { aroundTests } from './around-tests.ts';
import { type Controllers, allButNone, deployment } from './harness.ts';
import { statusEndpoints } from './status-endpoints.ts';

// Each test has the name of a conformance test of Kubernetes 1.23 and its promise; kubelets are played, so pods just run.

let c: Controllers;
aroundTests((started) => void (c = started), allButNone);

const namespace = 'default';
const ref = (name: string) => ({ namespace, name });
const labelsOf = (name: string) => ({ app: name });
const revision = 'deployment.kubernetes.io/revision';
const template = (name: string, image = 'busybox:1') => deployment(name, 1, image).spec.template;
const makeSet = (name: string, replicas: number, image?: string, annotations: Record<string, string> = {}) =>
  c.client.create(ReplicaSet, {
    metadata: { ...ref(name), labels: labelsOf(name), annotations },
    spec: { replicas, selector: { matchLabels: labelsOf(name) }, template: template(name, image) },
  });
const setsOf = async (app: string) => (await c.client.list(ReplicaSet, { labelSelector: `app=${app}` })).items;
const imageOf = ({ spec }: { spec: { containers: { image?: string }[] } }) => spec.containers[0]?.image;
const sizes = async (app: string) =>
  Object.fromEntries((await setsOf(app)).map((set) => [imageOf(set.spec.template), set.spec.replicas]));
const change = (name: string, image: string) =>
  c.client.patch(Deployment, ref(name), { spec: { template: template(name, image) } });
const isComplete = (name: string, replicas: number) =>
  eventually(async () => {
    const { metadata, status } = await c.client.get(Deployment, ref(name));
    const all = { replicas, updatedReplicas: replicas, availableReplicas: replicas };
    expect(status).toMatchObject({ ...all, observedGeneration: metadata.generation });
  });
const ready = (kind: typeof ReplicaSet, name: string, replicas: number) =>
  eventually(async () => expect((await c.client.get(kind, ref(name))).status?.readyReplicas).toBe(replicas));

/** Reads and writes the size through the scale subresource alone. */
async function scaleWorks(plural: string, name: string, sizeNow: () => Promise<number | undefined>) {
  const path = `/apis/apps/v1/namespaces/${namespace}/${plural}/${name}/scale`;
  const scale = await c.client.raw<{ metadata: Stored['metadata']; spec: { replicas: number } }>('GET', path);
  expect([scale.metadata.name, scale.spec.replicas]).toEqual([name, 1]);
  await c.client.raw('PUT', path, { ...scale, spec: { replicas: 2 } });
  await eventually(async () => {
    expect(await sizeNow()).toBe(2);
    expect(await c.podsOf(name)).toHaveLength(2);
  });
}

test('Deployment RollingUpdateDeployment should delete old pods and create new ones', async () => {
  const before = await makeSet('rolled', 1, 'old', { [revision]: '3546343826724305832' });
  await ready(ReplicaSet, 'rolled', 1);
  await c.client.create(Deployment, deployment('rolled', 1, 'new'));
  await isComplete('rolled', 1);
  expect(await sizes('rolled')).toEqual({ old: 0, new: 1 });
  const { metadata } = await c.client.get(Deployment, ref('rolled'));
  expect(metadata.annotations?.[revision]).toBe('3546343826724305833');
  const old = await c.client.get(ReplicaSet, ref('rolled'));
  expect(old.metadata).toMatchObject({ uid: before.metadata.uid, ownerReferences: [{ uid: metadata.uid }] });
});

test('Deployment RecreateDeployment should delete old pods and create new ones', async () => {
  const { spec, metadata } = deployment('anew', 1, 'old', { strategy: { type: 'Recreate' } });
  // Pods that are on a node are gone when their kubelet says so, and not before.
  const nodeName = 'n';
  const placed = (image: string) => ({
    ...template('anew', image),
    spec: { ...template('anew', image).spec, nodeName },
  });
  await c.client.create(Deployment, { metadata, spec: { ...spec, template: placed('old') } });
  await isComplete('anew', 1);
  await c.client.patch(Deployment, ref('anew'), { spec: { template: placed('new') } });
  const all = async () => (await c.client.list(Pod, { labelSelector: 'app=anew' })).items;
  await eventually(async () => {
    expect((await all())[0]?.metadata.deletionTimestamp).toBeDefined();
    const { status } = await c.client.get(Deployment, ref('anew'));
    expect([status?.observedGeneration, status?.updatedReplicas ?? 0]).toEqual([2, 0]);
  });
  expect((await all()).map(imageOf)).toEqual(['old']);
  const [leaving] = await all();
  if (leaving) await c.client.delete(Pod, leaving.metadata, { gracePeriodSeconds: 0 });
  await isComplete('anew', 1);
  expect((await all()).map(imageOf)).toEqual(['new']);
});

test('Deployment deployment should delete old replica sets', async () => {
  await makeSet('clean', 1, 'old');
  await ready(ReplicaSet, 'clean', 1);
  await c.client.create(Deployment, deployment('clean', 1, 'new', { revisionHistoryLimit: 0 }));
  await eventually(async () => expect(await sizes('clean')).toEqual({ new: 1 }));
});

test('Deployment deployment should support rollover', async () => {
  await makeSet('over', 1, 'old');
  await ready(ReplicaSet, 'over', 1);
  const strategy = { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } };
  await c.client.create(Deployment, deployment('over', 1, 'none', { strategy, minReadySeconds: 1 }));
  // The new pod never runs: the old one has to stay.
  await eventually(async () => expect(await sizes('over')).toEqual({ old: 1, none: 1 }));
  await change('over', 'next');
  await isComplete('over', 1);
  expect(await sizes('over')).toEqual({ old: 0, none: 0, next: 1 });
});

test('Deployment deployment should support proportional scaling', async () => {
  const strategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } };
  await c.client.create(Deployment, deployment('share', 10, 'works', { strategy }));
  await isComplete('share', 10);
  await change('share', 'none');
  await eventually(async () => expect(await sizes('share')).toEqual({ works: 8, none: 5 }));
  await c.client.patch(Deployment, ref('share'), { spec: { replicas: 30 } });
  await eventually(async () => expect(await sizes('share')).toEqual({ works: 20, none: 13 }));
});

test('Deployment Deployment should have a working scale subresource', async () => {
  await c.client.create(Deployment, deployment('resized', 1));
  await isComplete('resized', 1);
  await scaleWorks(
    'deployments',
    'resized',
    async () => (await c.client.get(Deployment, ref('resized'))).spec.replicas,
  );
});

test('Deployment should validate Deployment Status endpoints', async () => {
  await c.client.create(Deployment, deployment('told', 1));
  await isComplete('told', 1);
  await statusEndpoints(c.client, Deployment, ref('told'), { minReadySeconds: 7 });
});

test('Deployment should run the lifecycle of a Deployment', async () => {
  const made = deployment('life', 2);
  const types = await heard(c.client, Deployment, ref('life'), async () => {
    await c.client.create(Deployment, { ...made, metadata: { ...made.metadata, labels: { kept: 'here' } } });
    await isComplete('life', 2);
    const more = {
      metadata: { labels: { patched: 'yes' } },
      spec: { replicas: 1, template: template('life', 'other') },
    };
    const patched = await c.client.patch(Deployment, ref('life'), more);
    expect(patched.metadata.labels).toEqual({ kept: 'here', patched: 'yes' });
    await isComplete('life', 1);
    const { items } = await c.client.list(Deployment, { labelSelector: 'kept=here' });
    expect(items.map(({ spec }) => [imageOf(spec.template), spec.replicas])).toEqual([['other', 1]]);
    await deleteCollection(c.client, Deployment, 'kept=here', namespace);
  });
  expect([types[0], types.at(-1)]).toEqual(['ADDED', 'DELETED']);
  await eventually(async () => expect(await c.podsOf('life')).toEqual([]));
});

test('ReplicaSet Replace and Patch tests', async () => {
  const made = await makeSet('replaced', 1);
  await ready(ReplicaSet, 'replaced', 1);
  await eventually(async () => {
    const current = await c.client.get(ReplicaSet, made.metadata);
    await c.client.update(ReplicaSet, { ...current, spec: { ...current.spec, replicas: 3 } });
  });
  await ready(ReplicaSet, 'replaced', 3);
  const more = {
    metadata: { labels: { patched: 'yes' } },
    spec: { replicas: 2, template: { spec: { terminationGracePeriodSeconds: 0 } } },
  };
  const patched = await c.client.patch(ReplicaSet, made.metadata, more);
  expect(patched.metadata.labels).toEqual({ app: 'replaced', patched: 'yes' });
  expect(patched.spec.template.spec.terminationGracePeriodSeconds).toBe(0);
  await ready(ReplicaSet, 'replaced', 2);
});

test('ReplicaSet Replicaset should have a working scale subresource', async () => {
  await makeSet('set-resized', 1);
  await ready(ReplicaSet, 'set-resized', 1);
  const size = async () => (await c.client.get(ReplicaSet, ref('set-resized'))).spec.replicas;
  await scaleWorks('replicasets', 'set-resized', size);
});

test('ReplicaSet should list and delete a collection of ReplicaSets', async () => {
  await makeSet('collected', 3);
  await ready(ReplicaSet, 'collected', 3);
  expect(await setsOf('collected')).toHaveLength(1);
  await deleteCollection(c.client, ReplicaSet, 'app=collected', namespace);
  expect(await setsOf('collected')).toEqual([]);
  await eventually(async () => expect(await c.podsOf('collected')).toEqual([]));
});

test('ReplicaSet should validate Replicaset Status endpoints', async () => {
  await makeSet('set-told', 1);
  await ready(ReplicaSet, 'set-told', 1);
  await statusEndpoints(c.client, ReplicaSet, ref('set-told'), { minReadySeconds: 7 });
});

test('ReplicationController should test the lifecycle of a ReplicationController', async () => {
  const name = 'rc-life';
  const labels = { kept: 'here' };
  const status = async () => (await c.client.get(ReplicationController, ref(name))).status;
  const types = await heard(c.client, ReplicationController, ref(name), async () => {
    await c.client.create(ReplicationController, {
      metadata: { ...ref(name), labels },
      spec: { replicas: 1, selector: labelsOf(name), template: template(name) },
    });
    await eventually(async () => expect((await status())?.readyReplicas).toBe(1));
    await c.client.patch(ReplicationController, ref(name), { metadata: { labels: { patched: 'yes' } } });
    const path = `/api/v1/namespaces/${namespace}/replicationcontrollers/${name}`;
    const told = await c.client.patch(
      ReplicationController,
      ref(name),
      { status: { readyReplicas: 0 } },
      { subresource: 'status' },
    );
    expect(told.status?.readyReplicas ?? 0).toBe(0);
    // What is told wrongly is set right by its controller when it looks again.
    const read = await c.client.raw<ReplicationController>('GET', `${path}/status`);
    expect(read.metadata.labels).toEqual({ ...labels, patched: 'yes' });
    await c.client.patch(ReplicationController, ref(name), { spec: { replicas: 2 } }, { subresource: 'scale' });
    await eventually(async () => expect((await status())?.readyReplicas).toBe(2));
    expect((await c.client.list(ReplicationController, { labelSelector: 'kept=here' })).items).toHaveLength(1);
    await eventually(async () => {
      const current = await c.client.get(ReplicationController, ref(name));
      const annotations = { updated: 'yes' };
      await c.client.update(ReplicationController, { ...current, metadata: { ...current.metadata, annotations } });
    });
    await deleteCollection(c.client, ReplicationController, 'kept=here', namespace);
  });
  expect([types[0], types.at(-1)]).toEqual(['ADDED', 'DELETED']);
});
