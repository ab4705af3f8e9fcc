import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { LimitRange } from '../../api/kinds/limit-range.ts';
import { Node } from '../../api/kinds/node.ts';
import { type Container, Pod, type PodSpec } from '../../api/kinds/pod.ts';
import { PriorityClass } from '../../api/kinds/priority-class.ts';
import { ReplicaSet } from '../../api/kinds/replica-set.ts';
import { everyVerb } from '../client/every-verb.ts';
import { eventually } from '../eventually.ts';
import { type TestCluster, startTestCluster } from './harness.ts';

// Each test has the name of a conformance test of Kubernetes 1.23 ([sig-scheduling]) and its promise, on the try-out.

const namespace = 'default';
let cluster: TestCluster;
beforeAll(async () => {
  const agents = [1, 2].map((i) => ({
    hostname: '127.0.0.1',
    resources: `cpus:2;mem:2048;disk:4096;ports:[${31 + i}000-${31 + i}099]`,
  }));
  cluster = await startTestCluster({ flags: { devcluster: ['--agents', JSON.stringify(agents)] } });
  for (const [name, value] of Object.entries({ low: 1, middle: 100, high: 1000 }))
    await cluster.client.create(PriorityClass, { metadata: { name }, value });
  await eventually(async () => expect((await cluster.client.list(Node, {})).items).toHaveLength(2), 30_000);
}, 90_000);
afterAll(() => cluster?.stop(), 60_000);
afterEach(async () => {
  await cluster.kubectl.run('delete', 'rs,pods', '--all', '--grace-period=0', '--force');
  await eventually(async () => expect((await cluster.client.list(Pod, { namespace })).items).toEqual([]), 30_000);
}, 60_000);

const template = (cpu: string, spec: Partial<PodSpec> = {}, ports?: object[]): PodSpec => ({
  terminationGracePeriodSeconds: 1,
  containers: [
    {
      name: 'c',
      image: 'k8s.test/busybox:1',
      command: ['sleep', '1000'],
      resources: { requests: { cpu, memory: '16Mi' } },
      ...(ports ? { ports } : {}),
    } as PodSpec['containers'][number],
  ],
  ...spec,
});
const run = (name: string, cpu = '50m', spec: Partial<PodSpec> = {}, ports?: object[]) =>
  cluster.client.create(Pod, { metadata: { name, namespace }, spec: template(cpu, spec, ports) });
const pod = (name: string) => cluster.client.get(Pod, { namespace, name });
const runs = (name: string) => eventually(async () => expect((await pod(name)).status?.phase).toBe('Running'), 75_000);
const waits = (name: string, words: RegExp) =>
  eventually(async () => {
    const { spec, status } = await pod(name);
    const condition = status?.conditions?.find(({ type }) => type === 'PodScheduled');
    expect(condition).toMatchObject({
      status: 'False',
      reason: 'Unschedulable',
      message: expect.stringMatching(words),
    });
    expect(spec.nodeName).toBeUndefined();
  }, 30_000);
const goes = (name: string) =>
  eventually(
    async () =>
      expect(
        await pod(name).then(
          ({ metadata }) => metadata.deletionTimestamp !== undefined,
          () => true,
        ),
      ).toBe(true),
    75_000,
  );

describe('SchedulerPredicates', () => {
  test('SchedulerPredicates validates resource limits of pods that are allowed to run', async () => {
    await run('fills-1', '1500m');
    await run('fills-2', '1500m');
    await runs('fills-1');
    await runs('fills-2');
    await run('additional', '1500m');
    await waits('additional', /2 insufficient cpu/i);
  }, 150_000);

  test('SchedulerPredicates validates that NodeSelector is respected if not matching', async () => {
    await run('nowhere', '50m', { nodeSelector: { label: 'nonempty' } });
    await waits('nowhere', /node affinity\/selector/);
  }, 60_000);

  test('SchedulerPredicates validates that NodeSelector is respected if matching', async () => {
    const [{ metadata }] = (await cluster.client.list(Node, {})).items as [Node];
    await cluster.client.patch(Node, { name: metadata.name! }, { metadata: { labels: { chosen: '42' } } });
    await run('chosen', '50m', { nodeSelector: { chosen: '42' } });
    await runs('chosen');
    expect((await pod('chosen')).spec.nodeName).toBe(metadata.name);
    await cluster.client.patch(Node, { name: metadata.name! }, { metadata: { labels: { chosen: null } } });
  }, 120_000);

  test('SchedulerPredicates validates that there exists conflict between pods with same hostPort and protocol but one using 0.0.0.0 hostIP', async () => {
    const port = { containerPort: 8080, hostPort: 32_050, protocol: 'TCP' };
    await run('any', '50m', {}, [{ ...port, hostIP: '0.0.0.0' }]);
    await runs('any');
    const { nodeName = '' } = (await pod('any')).spec;
    await run('one', '50m', { nodeSelector: { 'kubernetes.io/hostname': nodeName } }, [
      { ...port, hostIP: '127.0.0.1' },
    ]);
    await waits('one', /free ports/);
  }, 120_000);
});

describe('SchedulerPreemption', () => {
  test('SchedulerPreemption validates basic preemption works', async () => {
    await run('low', '1500m', { priorityClassName: 'low' });
    await run('middle', '1500m', { priorityClassName: 'middle' });
    await runs('low');
    await runs('middle');
    await run('preemptor', '1500m', { priorityClassName: 'high' });
    await goes('low');
    await runs('preemptor');
    expect((await pod('middle')).metadata.deletionTimestamp).toBeUndefined();
  }, 200_000);

  test('SchedulerPreemption validates lower priority pod preemption by critical pod', async () => {
    await run('low', '1500m', { priorityClassName: 'low' });
    await run('middle', '1500m', { priorityClassName: 'middle' });
    await runs('low');
    await runs('middle');
    await run('critical', '1500m', { priorityClassName: 'system-cluster-critical' });
    await goes('low');
    await runs('critical');
    expect((await pod('middle')).metadata.deletionTimestamp).toBeUndefined();
  }, 200_000);

  test('SchedulerPreemption PreemptionExecutionPath runs ReplicaSets to verify preemption running path', async () => {
    // As somebody would by hand: https://kubernetes.io/docs/tasks/administer-cluster/extended-resource-node/
    const slots = 'example.com/slots';
    const [{ metadata }] = (await cluster.client.list(Node, {})).items as [Node];
    const advertise = (amount: string | null) =>
      cluster.client.patch(
        Node,
        { name: metadata.name! },
        { status: { capacity: { [slots]: amount } } },
        { subresource: 'status' },
      );
    const allocatable = async () =>
      (await cluster.client.get(Node, { name: metadata.name! })).status?.allocatable?.[slots];
    await advertise('4');
    await eventually(async () => expect(await allocatable()).toBe('4'), 30_000);
    const set = (name: string, replicas: number, count: number, priorityClassName: string) => {
      const spec = template('50m', { priorityClassName });
      const amounts = { [slots]: String(count) };
      spec.containers[0]!.resources = { requests: { cpu: '50m', ...amounts }, limits: amounts };
      return cluster.client.create(ReplicaSet, {
        metadata: { name, namespace },
        spec: {
          replicas,
          selector: { matchLabels: { app: name } },
          template: { metadata: { labels: { app: name } }, spec },
        },
      });
    };
    const ready = (name: string, count: number) =>
      eventually(async () => {
        const { status } = await cluster.client.get(ReplicaSet, { namespace, name });
        expect(status?.readyReplicas ?? 0).toBe(count);
      }, 75_000);
    await set('first', 2, 1, 'low');
    await set('second', 1, 2, 'middle');
    await ready('first', 2);
    await ready('second', 1);
    await set('third', 2, 1, 'high');
    await ready('third', 2);
    await ready('first', 0);
    await ready('second', 1);
    await advertise(null);
    await eventually(async () => expect(await allocatable()).toBeUndefined(), 30_000);
  }, 300_000);

  test('SchedulerPreemption PriorityClass endpoints verify PriorityClass endpoints can be operated with different HTTP methods', async () => {
    await everyVerb(cluster.client, PriorityClass, (name) => ({ metadata: { name }, value: 7 }));
    const refused = cluster.client.patch(PriorityClass, { name: 'low' }, { value: 2 });
    await expect(refused).rejects.toThrow(/may not be changed in an update/);
  }, 60_000);
});

test('LimitRange should create a LimitRange with defaults and ensure pod has those defaults applied.', async () => {
  const metadata = { name: 'limits', namespace };
  const limit = {
    type: 'Container',
    min: { cpu: '50m', memory: '16Mi' },
    max: { cpu: '500m', memory: '64Mi' },
    default: { cpu: '500m', memory: '48Mi' },
    defaultRequest: { cpu: '100m', memory: '32Mi' },
  };
  await cluster.client.create(LimitRange, { metadata, spec: { limits: [limit] } });
  try {
    const containers: Container[] = [{ name: 'c', image: 'k8s.test/busybox:1', command: ['sleep', '1000'] }];
    const made = await eventually(async () => {
      const found = await cluster.client.create(Pod, {
        metadata: { generateName: 'limited-', namespace },
        spec: { containers },
      });
      expect(found.spec.containers[0]?.resources).toEqual({ requests: limit.defaultRequest, limits: limit.default });
      return found;
    });
    await runs(made.metadata.name!);
    const partly = [{ ...containers[0]!, resources: { requests: { cpu: '50m' } } }];
    const mixed = await cluster.client.create(Pod, {
      metadata: { name: 'partly', namespace },
      spec: { containers: partly },
    });
    expect(mixed.spec.containers[0]?.resources?.requests).toEqual({ cpu: '50m', memory: '32Mi' });
    const little = [{ ...containers[0]!, resources: { requests: { cpu: '10m' } } }];
    const much = [{ ...containers[0]!, resources: { requests: { cpu: '600m' }, limits: { cpu: '600m' } } }];
    for (const wrong of [little, much])
      await expect(
        cluster.client.create(Pod, { metadata: { name: 'wrong', namespace }, spec: { containers: wrong } }),
      ).rejects.toThrow(/(minimum|maximum) cpu usage per Container/);
  } finally {
    await cluster.client.delete(LimitRange, metadata);
  }
}, 120_000);
