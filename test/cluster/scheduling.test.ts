import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Event } from '../../api/kinds/event.ts';
import { Pod, type PodSpec } from '../../api/kinds/pod.ts';
import { eventually } from '../eventually.ts';
import { podGroups } from '../pod-groups.ts';
import { type TestCluster, startTestCluster } from './harness.ts';

let cluster: TestCluster;

beforeAll(async () => {
  const agents = [1, 2].map((i) => ({
    hostname: '127.0.0.1',
    attributes: `rack:r${i}`,
    domain: `eu/z${i}`,
    resources: `cpus:2;mem:2048;disk:4096;ports:[${31 + i}000-${31 + i}099]`,
  }));
  cluster = await startTestCluster({ flags: { devcluster: ['--agents', JSON.stringify(agents)] } });
  const urgent = { metadata: { name: 'urgent' }, value: 1000 };
  await cluster.client.raw('POST', '/apis/scheduling.k8s.io/v1/priorityclasses', urgent);
}, 90_000);
afterAll(() => cluster?.stop());

const run = (name: string, spec: Partial<PodSpec>, cpu = '100m', labels: Record<string, string> = {}) =>
  cluster.client.create(Pod, {
    metadata: { name, namespace: 'default', labels: { app: name.split('-')[0]!, ...labels } },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'c', image: 'busybox', command: ['sleep', '1000'], resources: { requests: { cpu } } }],
      ...spec,
    },
  });
const pod = (name: string) => cluster.client.get(Pod, { namespace: 'default', name });
const nodeOf = async (name: string) => (await pod(name)).spec.nodeName;
const messageOf = async (name: string) =>
  (await pod(name)).status?.conditions?.find(({ type }) => type === 'PodScheduled')?.message ?? '';
/** Names of those who had to go so far. */
const preempted = async () => {
  const { items } = await cluster.client.list(Event, { namespace: 'default' });
  return items.filter(({ reason }) => reason === 'Preempted').map(({ involvedObject }) => involvedObject?.name);
};

test('pods that want to be apart are, and the one too many is told why', async () => {
  const podAntiAffinity = {
    requiredDuringSchedulingIgnoredDuringExecution: [
      { labelSelector: { matchLabels: { app: 'apart' } }, topologyKey: 'kubernetes.io/hostname' },
    ],
  };
  const names = ['apart-1', 'apart-2', 'apart-3'];
  for (const name of names) await run(name, { affinity: { podAntiAffinity } });
  await eventually(async () => {
    const nodes = await Promise.all(names.map(nodeOf));
    const [waiting] = names.filter((_, i) => nodes[i] === undefined);
    expect(new Set(nodes).size).toBe(3);
    expect(await messageOf(waiting!)).toMatch(/\d node\(s\) didn't match pod anti-affinity rules/);
  }, 60_000);
  for (const name of names) await cluster.client.delete(Pod, { namespace: 'default', name }, { gracePeriodSeconds: 0 });
}, 90_000);

test('a group of pods is placed whole or not at all', async () => {
  const podGroup = { apiVersion: 'scheduling.x-k8s.io/v1alpha1', kind: 'PodGroup', metadata: { name: 'train' } };
  const groups = '/apis/scheduling.x-k8s.io/v1alpha1/namespaces/default/podgroups';
  await cluster.client.raw('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', podGroups);
  await eventually(() => cluster.client.raw('POST', groups, { ...podGroup, spec: { minMember: 5 } }));
  const names = [1, 2, 3, 4, 5].map((i) => `train-${i}`);
  const join = (name: string) => run(name, {}, '900m', { 'scheduling.x-k8s.io/pod-group': 'train' });
  for (const name of names.slice(0, 4)) await join(name);
  await eventually(async () =>
    expect(await messageOf('train-1')).toBe('pod group default/train: 4 of at least 5 pods are there.'),
  );
  // Four of them would fit.
  await join('train-5');
  await eventually(
    async () =>
      expect(await messageOf('train-1')).toMatch(/pod group default\/train: 4 of at least 5 pods find a place\.$/),
    30_000,
  );
  expect(await Promise.all(names.map(nodeOf))).toEqual(names.map(() => undefined));
  await cluster.kubectl.run('patch', 'podgroup', 'train', '--type', 'merge', '-p', '{"spec":{"minMember":4}}');
  await eventually(async () => {
    const nodes = await Promise.all(names.map(nodeOf));
    expect(nodes.filter((node) => node !== undefined)).toHaveLength(4);
  }, 30_000);
  for (const name of names) await cluster.client.delete(Pod, { namespace: 'default', name }, { gracePeriodSeconds: 0 });
}, 120_000);

test('an urgent pod takes the place of one that is not', async () => {
  await run('humble-1', {}, '1400m');
  await run('humble-2', {}, '1400m');
  await eventually(async () => {
    for (const name of ['humble-1', 'humble-2']) expect((await pod(name)).status?.phase).toBe('Running');
  }, 60_000);
  await run('urgent', { priorityClassName: 'urgent' }, '1400m');
  await eventually(async () => expect((await pod('urgent')).status?.phase).toBe('Running'), 75_000);
  expect(await preempted()).toHaveLength(1);
  for (const name of ['humble-1', 'humble-2', 'urgent'])
    await cluster.client.delete(Pod, { namespace: 'default', name }, { gracePeriodSeconds: 0 }).catch(() => undefined);
}, 150_000);

test('room that is made for an urgent pod is not given to a lesser one that is asked before all of it is there', async () => {
  const there = { nodeSelector: { 'k8s.mesosphere.io/attribute-rack': 'r1' } };
  const stubborn = 'trap "sleep 8; exit 0" TERM; while true; do sleep 0.2; done';
  await run('quick', there, '600m');
  await run('slow', {
    ...there,
    terminationGracePeriodSeconds: 30,
    containers: [
      { name: 'c', image: 'busybox', command: ['sh', '-c', stubborn], resources: { requests: { cpu: '600m' } } },
    ],
  });
  await eventually(async () => {
    for (const name of ['quick', 'slow']) expect((await pod(name)).status?.phase).toBe('Running');
  }, 60_000);
  const before = (await preempted()).length;
  await run('lesser', there, '800m');
  await run('urgent', { ...there, priorityClassName: 'urgent' }, '1500m');
  await eventually(async () => expect((await pod('urgent')).status?.phase).toBe('Running'), 75_000);
  expect((await preempted()).slice(before).sort()).toEqual(['quick', 'slow']);
}, 150_000);
