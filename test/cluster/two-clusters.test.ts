import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { annotations } from '../../api/kinds/names.ts';
import { Node } from '../../api/kinds/node.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { askMaster } from '../../mesos/operator.ts';
import type { Resource } from '../../mesos/types.ts';
import { cluster as devcluster, endAll } from '../devcluster/builders.ts';
import { eventually } from '../eventually.ts';
import { type TestCluster, startTestCluster } from './harness.ts';
import { daemonSetOf, keepersOf, listOf } from './manifests.ts';

/** The same names in both clusters: one pod on each agent, and one with a volume of Mesos. */
const objects = (says: string) =>
  listOf(
    daemonSetOf('everywhere', {
      command: ['sh', '-c', `echo ${says}; exec sleep 1000`],
      resources: { requests: { cpu: '20m', memory: '16Mi' } },
    }),
    keepersOf(1, 'Delete', `echo ${says} >> /data/mine; exec sleep 1000`),
  );

describe('two clusters of km on one Mesos, told apart by their names', () => {
  const started: TestCluster[] = [];
  let url = '';
  let one: TestCluster;
  let other: TestCluster;
  beforeAll(async () => {
    const agents = ['agent-1', 'agent-2'].map((hostname) => ({ hostname, resources: 'cpus:4;mem:4096;disk:8192' }));
    const { masterUrl } = await devcluster({ agents, timings: { allocationInterval: 1000 } });
    url = masterUrl;
    const [first, second] = await Promise.all(
      ['kubernetes', 'other'].map(async (name, i) => {
        const flags = ['--framework-name', name, '--mesos-role', 'shared', '--volume-audit', '500ms'];
        const cluster = await startTestCluster({ proxy: 'none', masters: masterUrl, flags: { scheduler: flags } });
        started.push(cluster);
        const { kubectl } = cluster;
        expect(await kubectl.feed(objects(`cluster ${i}`), 'apply', '-f', '-')).toMatchObject({ stderr: '', code: 0 });
        await kubectl.run('rollout', 'status', 'daemonset/everywhere', '--timeout=40s');
        await kubectl.run('rollout', 'status', 'statefulset/keeper', '--timeout=40s');
        return cluster;
      }),
    );
    if (!first || !second) throw new Error('expected two clusters');
    [one, other] = [first, second];
  }, 150_000);
  afterAll(async () => {
    await Promise.all(started.map((cluster) => cluster.stop()));
    await endAll();
  }, 60_000);

  const master = () => ({ url });
  async function frameworks(): Promise<Map<string, string>> {
    const { get_frameworks } = await askMaster(master(), { type: 'GET_FRAMEWORKS' });
    return new Map(
      (get_frameworks.frameworks ?? []).map(({ framework_info: { name, id } }) => [name, id?.value ?? '']),
    );
  }
  /** Those that run, by the name of their framework. */
  async function tasks(name: string): Promise<string[]> {
    const id = (await frameworks()).get(name);
    const { get_tasks } = await askMaster(master(), { type: 'GET_TASKS' });
    const running = (get_tasks.tasks ?? []).filter(({ state }) => state === 'TASK_RUNNING');
    return running.filter(({ framework_id }) => framework_id.value === id).map(({ task_id }) => task_id.value);
  }
  const podsOf = async ({ client }: TestCluster): Promise<Pod[]> =>
    (await client.list(Pod, { namespace: 'default' })).items.filter(({ metadata }) => !metadata.deletionTimestamp);
  /** What would be another if anything had been done to the pods. */
  const identities = async (cluster: TestCluster) =>
    (await podsOf(cluster))
      .map(({ metadata, spec, status }) =>
        [
          ...[metadata.name, metadata.uid, spec.nodeName, metadata.annotations?.[annotations.taskId], status?.phase],
          ...(status?.containerStatuses ?? []).map(({ containerID, restartCount }) => `${containerID} ${restartCount}`),
        ].join(' '),
      )
      .sort();
  /** The disk that agents keep, by the uid of the cluster that it is kept for. */
  async function kept(): Promise<(string | undefined)[]> {
    const { get_agents } = await askMaster(master(), { type: 'GET_AGENTS' });
    const labelOf = ({ reservations }: Resource) =>
      reservations?.at(-1)?.labels?.labels?.find(({ key }) => key === 'k8s.mesosphere.io/cluster')?.value;
    return (get_agents.agents ?? [])
      .flatMap(({ total_resources = [] }) => total_resources)
      .flatMap((resource) => (resource.disk?.persistence ? [labelOf(resource)] : []));
  }
  const uidOf = ({ kubectl }: TestCluster) =>
    kubectl.run('get', 'namespace', 'kube-system', '-o', 'jsonpath={.metadata.uid}');

  test('run pods of the same names on the same nodes, each its own', async () => {
    expect([...(await frameworks()).keys()].sort()).toEqual(['kubernetes', 'other']);
    const names = async ({ client }: TestCluster) =>
      (await client.list(Node)).items.map(({ metadata }) => metadata.name).sort();
    expect(await names(one)).toEqual(['agent-1', 'agent-2']);
    expect(await names(other)).toEqual(await names(one));
    for (const [cluster, framework, says] of [
      [one, 'kubernetes', 'cluster 0'],
      [other, 'other', 'cluster 1'],
    ] as const) {
      const pods = await podsOf(cluster);
      const ids = pods.map(({ metadata }) => metadata.annotations?.[annotations.taskId]);
      expect((await tasks(framework)).sort()).toEqual(ids.sort());
      const nodes = pods
        .filter(({ metadata }) => metadata.labels?.app === 'everywhere')
        .map(({ spec }) => spec.nodeName);
      expect(nodes.sort()).toEqual(await names(one));
      // Through the kubelet that is the cluster's own, of two on that agent.
      expect(await cluster.kubectl.run('logs', 'daemonset/everywhere')).toBe(`${says}\n`);
      expect(await cluster.kubectl.run('exec', 'keeper-0', '--', 'cat', '/data/mine')).toBe(`${says}\n`);
    }
  }, 60_000);

  test('let go of what they keep themselves, and of nothing that the other keeps', async () => {
    expect((await kept()).sort()).toEqual([await uidOf(one), await uidOf(other)].sort());
    // What no task uses is offered to whoever has the role.
    await other.kubectl.run('scale', 'statefulset/keeper', '--replicas=0');
    await other.kubectl.run('wait', '--for=delete', 'pod/keeper-0', '--timeout=20s');
    const before = await identities(other);
    await one.kubectl.run('delete', 'statefulset', 'keeper', '--timeout=20s');
    await eventually(async () => expect(await kept()).toEqual([await uidOf(other)]), 30_000);
    // Every agent is offered once more, after audits that saw what is kept there.
    await one.kubectl.run('rollout', 'restart', 'daemonset/everywhere');
    await one.kubectl.run('rollout', 'status', 'daemonset/everywhere', '--timeout=40s');
    expect(await kept()).toEqual([await uidOf(other)]);
    expect(await identities(other)).toEqual(before);
    await other.kubectl.run('scale', 'statefulset/keeper', '--replicas=1');
    await other.kubectl.run('rollout', 'status', 'statefulset/keeper', '--timeout=30s');
    expect(await other.kubectl.run('exec', 'keeper-0', '--', 'cat', '/data/mine')).toBe('cluster 1\n'.repeat(2));
  }, 60_000);

  test('do not need each other: one places pods while the other’s scheduler is away, and when its framework is torn down', async () => {
    const [ours, theirs] = [await identities(one), await identities(other)];
    await one.servers.get('scheduler')?.stop();
    await other.kubectl.run('run', 'late', '--image=k8s.test/busybox:1', '--command', '--', 'sleep', '1000');
    await other.kubectl.run('wait', '--for=condition=Ready', 'pod/late', '--timeout=20s');
    expect(await identities(one)).toEqual(ours);
    expect((await identities(other)).filter((identity) => !identity.startsWith('late '))).toEqual(theirs);
    expect(await tasks('kubernetes')).toHaveLength(2);

    const framework_id = { value: (await frameworks()).get('kubernetes') ?? '' };
    await askMaster(master(), { type: 'TEARDOWN', teardown: { framework_id } });
    await eventually(async () => {
      const { get_executors } = await askMaster(master(), { type: 'GET_EXECUTORS' });
      const ids = (get_executors.executors ?? []).map(({ executor_info }) => executor_info.executor_id.value);
      expect(new Set(ids)).toEqual(new Set(['km-other']));
    }, 20_000);
    await other.kubectl.run('delete', 'pod', 'late', '--now');
    await other.kubectl.run('run', 'later', '--image=k8s.test/busybox:1', '--command', '--', 'sleep', '1000');
    await other.kubectl.run('wait', '--for=condition=Ready', 'pod/later', '--timeout=20s');
    expect((await identities(other)).filter((identity) => !identity.startsWith('later '))).toEqual(theirs);
    expect(await tasks('other')).toHaveLength(4);
  }, 90_000);
});
