import { expect, test } from '@jest/globals';
import type { Kind } from '../../api/kind.ts';
import { ConfigMap } from '../../api/kinds/config-map.ts';
import { Namespace } from '../../api/kinds/namespace.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { ReplicaSet } from '../../api/kinds/replica-set.ts';
import { ReplicationController } from '../../api/kinds/replication-controller.ts';
import { ResourceQuota } from '../../api/kinds/resource-quota.ts';
import { Secret } from '../../api/kinds/secret.ts';
import { ServiceAccount } from '../../api/kinds/service-account.ts';
import { Service } from '../../api/kinds/service.ts';
import type { KubeObject } from '../../api/meta.ts';
import { eventually } from '../eventually.ts';
import { aroundTests } from './around-tests.ts';
import type { Controllers } from './harness.ts';

// Each test has the name of a conformance test of Kubernetes 1.23 and its promise; every one has a namespace to itself.

let c: Controllers;
aroundTests((started) => void (c = started));

type Hard = Record<string, string>;
async function room(namespace: string): Promise<void> {
  await c.client.create(Namespace, { metadata: { name: namespace } });
  // What every namespace gets from its controllers is there before anything is counted.
  await eventually(() => c.client.get(ServiceAccount, { namespace, name: 'default' }));
}
const limit = (namespace: string, hard: Hard, name = 'q', scopes?: string[]) =>
  c.client.create(ResourceQuota, { metadata: { namespace, name }, spec: { hard, ...(scopes ? { scopes } : {}) } });
const uses = (namespace: string, used: Hard, name = 'q') =>
  eventually(async () =>
    expect((await c.client.get(ResourceQuota, { namespace, name })).status?.used).toMatchObject(used),
  );

const pod = (namespace: string, name: string, resources: object = {}, spec: object = {}): Pod => ({
  metadata: { namespace, name },
  spec: { containers: [{ name: 'c', image: 'x', resources }], ...spec },
});
const asks = (cpu: string, memory: string) => ({ requests: { cpu, memory }, limits: { cpu, memory } });

/** One is counted when it is made, and no longer when it is gone. */
async function life<T extends KubeObject>(
  namespace: string,
  kind: Kind<T>,
  resource: string,
  make: (ref: { namespace: string; name: string }) => T,
) {
  await room(namespace);
  const { items } = await c.client.list(kind, { namespace });
  await limit(namespace, { [resource]: '10' });
  await uses(namespace, { [resource]: String(items.length) });
  await c.client.create(kind, make({ namespace, name: 'counted' }));
  await uses(namespace, { [resource]: String(items.length + 1) });
  await c.client.delete(kind, { namespace, name: 'counted' });
  await uses(namespace, { [resource]: String(items.length) });
}

const labels = { app: 'counted' };
const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'x' }] } };

test('ResourceQuota should create a ResourceQuota and ensure its status is promptly calculated.', async () => {
  await room('prompt');
  await limit('prompt', { pods: '5', services: '2' });
  await uses('prompt', { pods: '0', services: '0' });
  expect((await c.client.get(ResourceQuota, { namespace: 'prompt', name: 'q' })).status?.hard).toEqual({
    pods: '5',
    services: '2',
  });
});

test('ResourceQuota should create a ResourceQuota and capture the life of a configMap.', () =>
  life('config-maps', ConfigMap, 'configmaps', (ref) => ({ metadata: ref, data: {} })));

test('ResourceQuota should create a ResourceQuota and capture the life of a secret.', () =>
  life('secrets', Secret, 'secrets', (ref) => ({ metadata: ref, stringData: { a: 'b' } })));

test('ResourceQuota should create a ResourceQuota and capture the life of a replica set.', () =>
  life('replica-sets', ReplicaSet, 'count/replicasets.apps', (ref) => ({
    metadata: ref,
    spec: { replicas: 0, selector: { matchLabels: labels }, template },
  })));

test('ResourceQuota should create a ResourceQuota and capture the life of a replication controller.', () =>
  life('controllers', ReplicationController, 'replicationcontrollers', (ref) => ({
    metadata: ref,
    spec: { replicas: 0, selector: labels, template },
  })));

test('ResourceQuota should create a ResourceQuota and capture the life of a service.', async () => {
  const namespace = 'services';
  await room(namespace);
  await limit(namespace, { services: '2', 'services.nodeports': '1', 'services.loadbalancers': '0' });
  await uses(namespace, { services: '0' });
  const service = (name: string, type: 'ClusterIP' | 'NodePort' | 'LoadBalancer') =>
    c.client.create(Service, { metadata: { namespace, name }, spec: { type, ports: [{ port: 80 }] } });
  await service('inside', 'ClusterIP');
  await service('outside', 'NodePort');
  await uses(namespace, { services: '2', 'services.nodeports': '1', 'services.loadbalancers': '0' });
  await expect(service('balanced', 'LoadBalancer')).rejects.toThrow(/exceeded quota: q/);
  for (const name of ['inside', 'outside']) await c.client.delete(Service, { namespace, name });
  await uses(namespace, { services: '0', 'services.nodeports': '0' });
});

test('ResourceQuota should create a ResourceQuota and capture the life of a pod.', async () => {
  const namespace = 'pods';
  await room(namespace);
  await limit(namespace, {
    pods: '5',
    cpu: '1',
    memory: '500Mi',
    'ephemeral-storage': '50Gi',
    'requests.example.com/dongle': '3',
  });
  await uses(namespace, { pods: '0' });
  const resources = {
    requests: { cpu: '500m', memory: '252Mi', 'ephemeral-storage': '30Gi', 'example.com/dongle': '2' },
    limits: { 'example.com/dongle': '2' },
  };
  const made = await c.client.create(Pod, pod(namespace, 'fits', resources));
  const used = {
    pods: '1',
    cpu: '500m',
    memory: '252Mi',
    'ephemeral-storage': '30Gi',
    'requests.example.com/dongle': '2',
  };
  await uses(namespace, used);
  const too = { requests: { cpu: '600m', memory: '100Mi', 'ephemeral-storage': '30Gi' } };
  await expect(c.client.create(Pod, pod(namespace, 'too-much', too))).rejects.toThrow(/exceeded quota/);
  const dongles = { ...too.requests, cpu: '100m', 'ephemeral-storage': '1Gi', 'example.com/dongle': '2' };
  const many = { requests: dongles, limits: { 'example.com/dongle': '2' } };
  await expect(c.client.create(Pod, pod(namespace, 'too-many', many))).rejects.toThrow(/exceeded quota/);
  await c.client.patch(Pod, made.metadata, { metadata: { labels: { changed: 'yes' } } });
  await uses(namespace, used);
  await c.client.delete(Pod, made.metadata, { gracePeriodSeconds: 0 });
  await uses(namespace, { pods: '0', cpu: '0', memory: '0', 'ephemeral-storage': '0' });
});

test('ResourceQuota should be able to update and delete ResourceQuota.', async () => {
  const namespace = 'changed';
  await room(namespace);
  await limit(namespace, { cpu: '1', memory: '500Mi' });
  const ref = { namespace, name: 'q' };
  await eventually(async () => {
    const current = await c.client.get(ResourceQuota, ref);
    await c.client.update(ResourceQuota, { ...current, spec: { hard: { cpu: '2', memory: '1Gi' } } });
  });
  await eventually(async () =>
    expect((await c.client.get(ResourceQuota, ref)).status?.hard).toEqual({ cpu: '2', memory: '1Gi' }),
  );
  await c.client.delete(ResourceQuota, ref);
  expect((await c.client.list(ResourceQuota, { namespace })).items).toEqual([]);
});

test('ResourceQuota should verify ResourceQuota with best effort scope.', async () => {
  const namespace = 'efforts';
  await room(namespace);
  await limit(namespace, { pods: '5' }, 'best', ['BestEffort']);
  await limit(namespace, { pods: '5' }, 'not-best', ['NotBestEffort']);
  const counts = async (best: string, notBest: string) => {
    await uses(namespace, { pods: best }, 'best');
    await uses(namespace, { pods: notBest }, 'not-best');
  };
  await counts('0', '0');
  for (const [resources, best, other] of [
    [{}, '1', '0'],
    [asks('500m', '200Mi'), '0', '1'],
  ] as const) {
    const { metadata } = await c.client.create(Pod, pod(namespace, 'p', resources));
    await counts(best, other);
    await c.client.delete(Pod, metadata, { gracePeriodSeconds: 0 });
    await counts('0', '0');
  }
});

test('ResourceQuota should verify ResourceQuota with terminating scopes.', async () => {
  const namespace = 'ends';
  await room(namespace);
  const hard = { pods: '5', 'requests.cpu': '1', 'limits.cpu': '2' };
  await limit(namespace, hard, 'terminating', ['Terminating']);
  await limit(namespace, hard, 'lasting', ['NotTerminating']);
  const counts = async (terminating: string, lasting: string) => {
    await uses(namespace, { pods: terminating }, 'terminating');
    await uses(namespace, { pods: lasting }, 'lasting');
  };
  await counts('0', '0');
  for (const [spec, terminating, lasting] of [
    [{}, '0', '1'],
    [{ activeDeadlineSeconds: 3600 }, '1', '0'],
  ] as const) {
    const { metadata } = await c.client.create(Pod, pod(namespace, 'p', asks('500m', '200Mi'), spec));
    await counts(terminating, lasting);
    await c.client.delete(Pod, metadata, { gracePeriodSeconds: 0 });
    await counts('0', '0');
  }
});
