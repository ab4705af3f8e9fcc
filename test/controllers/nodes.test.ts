import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Lease } from '../../api/kinds/lease.ts';
import { Namespace } from '../../api/kinds/namespace.ts';
import { Node, type Taint } from '../../api/kinds/node.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { type Condition, type Stored, microTimestamp, timestamp } from '../../api/meta.ts';
import { isNotFound } from '../../api/status.ts';
import { evictionRate, silenced, taintsFor } from '../../controllers/common/node-health.ts';
import { planGc } from '../../controllers/pod-gc.ts';
import { evictionTime } from '../../controllers/taint-eviction.ts';
import { eventually } from '../eventually.ts';
import { running, startControllers } from './harness.ts';

const now = Date.parse('2026-01-01T12:00:00Z');
const stored = (name: string) => ({ name, uid: name, resourceVersion: '1' });
const conditionsOf = (conditions: Record<string, 'True' | 'False' | 'Unknown'>, reason = 'KubeletReady'): Condition[] =>
  Object.entries(conditions).map(([type, status]) => ({ type, status, reason }));
const nodeOf = (
  conditions: Record<string, 'True' | 'False' | 'Unknown'>,
  spec: Node['spec'] = {},
  { reason = 'KubeletReady', zone = 'a', name = 'n' } = {},
): Node & Stored => ({
  metadata: { ...stored(name), labels: { 'topology.kubernetes.io/zone': zone } },
  spec,
  status: { conditions: conditionsOf(conditions, reason) },
});
const short = (taints: readonly Taint[]) =>
  taints.map(({ key, effect }) => `${key.replace('node.kubernetes.io/', '')}:${effect}`);

describe('a silent node', () => {
  test.each([
    [
      'is unknown after its grace',
      nodeOf({ Ready: 'True', MemoryPressure: 'False' }),
      51_000,
      ['Ready', 'MemoryPressure'],
    ],
    ['is what it was before', nodeOf({ Ready: 'True' }), 49_000, undefined],
    ['is said to be unknown once', nodeOf({ Ready: 'Unknown' }), 99_000, undefined],
    ['that never spoke is unknown', nodeOf({}), 51_000, ['Ready']],
    [
      'for which Mesos speaks is what Mesos says: its kubelet starts with the first pod',
      nodeOf({ Ready: 'True' }, {}, { reason: 'MesosAgentRegistered' }),
      1e9,
      undefined,
    ],
  ])('%s', (_what, node, silent, types) =>
    expect(silenced(node, silent, 50_000, now)?.map(({ type }) => type)).toEqual(types),
  );
});

describe('the taints of a node', () => {
  const own: Taint = { key: 'mine', effect: 'NoExecute' };
  test.each([
    ['that is well are its own', nodeOf({ Ready: 'True' }, { taints: [own] }), true, ['mine:NoExecute']],
    ['that is not ready', nodeOf({ Ready: 'False' }), true, ['not-ready:NoSchedule', 'not-ready:NoExecute']],
    ['whose turn it is not', nodeOf({ Ready: 'False' }), false, ['not-ready:NoSchedule']],
    ['that is unreachable', nodeOf({ Ready: 'Unknown' }), true, ['unreachable:NoSchedule', 'unreachable:NoExecute']],
    ['that nobody has heard of', nodeOf({}), false, ['unreachable:NoSchedule']],
    ['under pressure', nodeOf({ Ready: 'True', DiskPressure: 'True' }), true, ['disk-pressure:NoSchedule']],
    ['that is cordoned', nodeOf({ Ready: 'True' }, { unschedulable: true }), true, ['unschedulable:NoSchedule']],
    [
      'that is well again',
      nodeOf({ Ready: 'True' }, { taints: [{ key: 'node.kubernetes.io/not-ready', effect: 'NoExecute' }] }),
      true,
      [],
    ],
  ])('%s', (_what, node, drives, expected) => expect(short(taintsFor(node, drives, now))).toEqual(expected));
});

test.each([
  ['a zone with one ill node', 'a', 'ttu', 0.1],
  ['a small zone that is mostly ill', 'a', 'tuuu', 0],
  ['a large zone that is mostly ill', 'a', `t${'u'.repeat(60)}`, 0.01],
  ['a world without a node that is well', 'a', 'uu', 0],
])('%s loses pods at %s: %s → %d nodes a second', (_what, zone, letters, rate) => {
  const nodes = [...letters].map((letter, i) =>
    nodeOf({ Ready: letter === 't' ? 'True' : 'Unknown' }, {}, { zone, name: `n${i}` }),
  );
  const rates = { normal: 0.1, secondary: 0.01, largeZone: 50, unhealthy: 0.55 };
  expect(evictionRate(`/${zone}`, nodes, rates)).toBe(rate);
});

test('a zone that is wholly ill beside one that is well loses its pods', () => {
  const nodes = [nodeOf({ Ready: 'True' }, {}, { zone: 'b' }), ...[1, 2, 3].map(() => nodeOf({ Ready: 'Unknown' }))];
  const rates = { normal: 0.1, secondary: 0.01, largeZone: 50, unhealthy: 0.55 };
  expect(evictionRate('/a', nodes, rates)).toBe(0.1);
});

describe('a pod on a tainted node', () => {
  const taint = (key: string) => ({ key, effect: 'NoExecute' as const, since: now });
  const tolerates = (key: string, tolerationSeconds?: number) => ({
    key,
    operator: 'Exists' as const,
    ...(tolerationSeconds === undefined ? {} : { tolerationSeconds }),
  });
  test.each([
    ['goes at once', ['a'], [], 0],
    ['stays for good', ['a'], [tolerates('a')], undefined],
    ['stays for a time', ['a'], [tolerates('a', 30)], now + 30_000],
    ['stays for the shorter time', ['a', 'b'], [tolerates('a', 30), tolerates('b', 10)], now + 10_000],
    ['goes at once if it tolerates only one', ['a', 'b'], [tolerates('a', 30)], 0],
    ['stays where nothing drives it', [], [], undefined],
  ])('%s', (_what, taints, tolerations, at) => expect(evictionTime(taints.map(taint), tolerations)).toBe(at));
});

test('pods are garbage when their node is gone or out of service, or they never had one, or too many have ended', () => {
  const pod = (name: string, nodeName: string, phase: 'Running' | 'Failed', deleted = false): Pod & Stored => ({
    metadata: { ...stored(name), ...(deleted ? { deletionTimestamp: timestamp(now) } : {}) },
    spec: { containers: [], ...(nodeName ? { nodeName } : {}) },
    status: { phase },
  });
  const out = nodeOf(
    { Ready: 'Unknown' },
    { taints: [{ key: 'node.kubernetes.io/out-of-service', effect: 'NoExecute' }] },
  );
  const pods = [
    pod('fine', 'n', 'Running'),
    pod('lost', 'gone', 'Running'),
    pod('stuck', 'n', 'Running', true),
    pod('unplaced', '', 'Running', true),
    pod('old-1', 'm', 'Failed'),
    pod('old-2', 'm', 'Failed'),
  ];
  const plan = planGc(pods, (name) => (name === 'n' ? out : undefined), new Set(['gone']), 1);
  expect(plan.map((one) => one.pod.metadata.name)).toEqual(['lost', 'stuck', 'unplaced', 'old-1']);
});

describe('against an apiserver', () => {
  let c: Awaited<ReturnType<typeof startControllers>>;
  beforeAll(async () => {
    c = await startControllers({ nodeMonitorGracePeriod: 1500, nodeEvictionRate: 100 });
    await c.client.create(Namespace, { metadata: { name: 'kube-node-lease' } }).catch(() => undefined);
  });
  afterAll(() => c.stop());
  const taints = async (name: string) => short((await c.client.get(Node, { name })).spec?.taints ?? []);
  const ready = async (name: string, status: 'True' | 'False' = 'True') =>
    c.client.patch(
      Node,
      { name },
      {
        status: {
          conditions: [{ type: 'Ready', status, reason: 'KubeletReady', lastHeartbeatTime: timestamp(Date.now()) }],
        },
      },
      { type: 'strategic', subresource: 'status' },
    );

  test('a new node is tainted until it is ready, and a silent one loses its pods when their patience is over', async () => {
    const lease = { metadata: { namespace: 'kube-node-lease', name: 'alive' }, spec: { leaseDurationSeconds: 40 } };
    await c.client.create(Lease, lease);
    const beat = setInterval(() => {
      const spec = { renewTime: microTimestamp(Date.now()) };
      void c.client.patch(Lease, lease.metadata, { spec }).catch(() => undefined);
    }, 200);
    try {
      for (const name of ['alive', 'silent']) {
        await c.client.create(Node, { metadata: { name } });
        await eventually(async () => expect(await taints(name)).toContain('unreachable:NoSchedule'));
        await ready(name);
        await eventually(async () => expect(await taints(name)).toEqual([]));
      }
      const tolerations = ['not-ready', 'unreachable'].map((key) => ({
        key: `node.kubernetes.io/${key}`,
        operator: 'Exists' as const,
        effect: 'NoExecute' as const,
        tolerationSeconds: 1,
      }));
      const ref = { namespace: 'default', name: 'p' };
      await c.client.create(Pod, {
        metadata: ref,
        spec: { nodeName: 'silent', containers: [{ name: 'c', image: 'x' }], tolerations },
      });
      await c.client.patch(Pod, ref, { status: running() }, { subresource: 'status' });
      await eventually(async () =>
        expect(await taints('silent')).toEqual(['unreachable:NoSchedule', 'unreachable:NoExecute']),
      );
      await eventually(async () => {
        const pod = await c.client.get(Pod, ref);
        expect(pod.metadata.deletionTimestamp).toBeDefined();
        const shown = pod.status?.conditions?.map(({ type, status }) => `${type}=${status}`);
        expect(shown).toEqual(expect.arrayContaining(['Ready=False', 'DisruptionTarget=True']));
      });
      expect(await taints('alive')).toEqual([]);
    } finally {
      clearInterval(beat);
    }
  });

  test('the lease of a node goes with it, those of others stay', async () => {
    const namespace = 'kube-node-lease';
    for (const name of ['short-lived', 'other']) {
      const { metadata } = await c.client.create(Node, { metadata: { name } });
      const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name, uid: metadata.uid }];
      await c.client.create(Lease, { metadata: { namespace, name, ownerReferences }, spec: {} });
    }
    await c.client.delete(Node, { name: 'short-lived' });
    await eventually(async () => {
      const { items } = await c.client.list(Lease, { namespace });
      expect(items.map(({ metadata }) => metadata.name)).not.toContain('short-lived');
      expect(items.map(({ metadata }) => metadata.name)).toContain('other');
    });
  });

  test('a pod that was deleted before it had a node is gone, whatever it waits for', async () => {
    const ref = { namespace: 'default', name: 'unplaced' };
    await c.client.create(Pod, { metadata: ref, spec: { containers: [{ name: 'c', image: 'x' }] } });
    await c.client.delete(Pod, ref);
    await eventually(async () => expect(isNotFound(await c.client.get(Pod, ref).catch((e: unknown) => e))).toBe(true));
  });
});
