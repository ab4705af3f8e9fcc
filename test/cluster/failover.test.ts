import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { annotations } from '../../api/kinds/names.ts';
import { Node } from '../../api/kinds/node.ts';
import { Pod } from '../../api/kinds/pod.ts';
import type { Stored } from '../../api/meta.ts';
import { askMaster } from '../../mesos/operator.ts';
import { eventually } from '../eventually.ts';
import { zooKeeperIsHere } from '../mesos/zookeeper-server.ts';
import { ElectedCluster } from './elected.ts';
import { type TestCluster, talkers } from './harness.ts';

let elected: ElectedCluster;
let cluster: TestCluster;
beforeAll(async () => {
  elected = await ElectedCluster.start();
  cluster = elected.cluster;
}, 60_000);
afterAll(() => elected?.stop(), 60_000);

type StoredPod = Pod & Stored;
const selector = { namespace: 'default', labelSelector: 'app=crew' };
const pods = async (): Promise<StoredPod[]> =>
  (await cluster.client.list(Pod, selector)).items.filter(
    ({ metadata, status }) => !metadata.deletionTimestamp && status?.phase !== 'Failed',
  );
const allRun = (count: number) =>
  eventually(async () => {
    const ready = (await pods()).filter(({ status }) => status?.containerStatuses?.[0]?.ready);
    expect(ready).toHaveLength(count);
    return ready;
  }, 40_000);

/** What must not change of a pod that nobody touches. */
const identity = ({ metadata, spec, status }: StoredPod) => ({
  uid: metadata.uid,
  node: spec.nodeName,
  containers: status?.containerStatuses?.map(({ containerID, restartCount }) => `${containerID} ${restartCount}`),
  task: metadata.annotations?.[annotations.taskId],
});
async function expectUntouched(before: readonly StoredPod[]): Promise<void> {
  const now = new Map((await pods()).map((pod) => [pod.metadata.uid, pod]));
  for (const pod of before)
    expect(now.get(pod.metadata.uid) && identity(now.get(pod.metadata.uid)!)).toEqual(identity(pod));
}

const scale = (replicas: number) => cluster.kubectl.run('scale', 'deployment/crew', `--replicas=${replicas}`);
const frameworks = async () => (await askMaster({ url: elected.leader! }, { type: 'GET_FRAMEWORKS' })).get_frameworks;
const readiness = async (node: string) => {
  const found = (await cluster.client.list(Node)).items.find(({ metadata }) => metadata.name === node);
  return found?.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
};

async function markGone(node: string): Promise<void> {
  const { get_agents } = await askMaster({ url: elected.leader! }, { type: 'GET_AGENTS' });
  const agent = get_agents.agents?.find(({ agent_info }) => agent_info.hostname === node);
  await elected.post('/api/v1', { type: 'MARK_AGENT_GONE', mark_agent_gone: { agent_id: agent!.agent_info.id } });
}

const describeWhereZooKeeperIs = zooKeeperIsHere ? describe : describe.skip;

describeWhereZooKeeperIs('km on masters that elect their leader in ZooKeeper', () => {
  test('follows a new leader with its FrameworkID: running pods stay as they are, new ones are placed', async () => {
    await eventually(() => expect(elected.leader).toBeDefined(), 20_000);
    await cluster.kubectl.feed(talkers('crew', 6), 'apply', '-f', '-');
    const before = await allRun(6);
    const [framework] = (await frameworks()).frameworks ?? [];
    await elected.killLeader();
    await scale(9);
    await allRun(9);
    await expectUntouched(before);
    const after = await frameworks();
    expect(after.frameworks?.map(({ framework_info, active }) => [framework_info.id, active])).toEqual([
      [framework!.framework_info.id, true],
    ]);
    expect(after.completed_frameworks ?? []).toEqual([]);
    const { get_tasks } = await askMaster({ url: elected.leader! }, { type: 'GET_TASKS' });
    expect(get_tasks.tasks?.map(({ state }) => state)).toEqual(Array(9).fill('TASK_RUNNING'));
    const log = readFileSync(join(cluster.dir, 'logs', 'scheduler.log'), 'utf8');
    expect(log.split('\n').filter((line) => line.includes('subscribed to the Mesos master')).length).toBe(2);
  }, 90_000);

  test('shows an agent that is cut off as not ready, and as before when it is back', async () => {
    const before = await allRun(9);
    const node = before[0]!.spec.nodeName!;
    await elected.fault({ fault: 'loseAgent', agent: node });
    await eventually(async () => expect(await readiness(node)).toBe('Unknown'), 20_000);
    expect(await cluster.kubectl.run('get', 'node', node)).toMatch(new RegExp(`${node}\\s+NotReady`));
    // The others still take pods.
    await scale(11);
    const more = await allRun(11);
    const uids = new Set(before.map(({ metadata }) => metadata.uid));
    expect(more.filter(({ metadata, spec }) => !uids.has(metadata.uid) && spec.nodeName === node)).toEqual([]);
    await elected.fault({ fault: 'returnAgent', agent: node });
    await eventually(async () => expect(await readiness(node)).toBe('True'), 20_000);
    expect(await cluster.kubectl.run('get', 'node', node)).toMatch(new RegExp(`${node}\\s+Ready`));
    await expectUntouched(more);
  }, 90_000);

  test('replaces the pods of an agent that an operator declared gone, and its node disappears', async () => {
    const before = await allRun(11);
    const node = before[0]!.spec.nodeName!;
    await markGone(node);
    await eventually(async () => {
      const now = await allRun(11);
      expect(now.filter(({ spec }) => spec.nodeName === node)).toEqual([]);
    }, 40_000);
    await eventually(async () => expect(await readiness(node)).toBeUndefined(), 20_000);
    expect((await cluster.kubectl.try('get', 'node', node)).stderr).toContain('not found');
    await expectUntouched(before.filter(({ spec }) => spec.nodeName !== node));
  }, 90_000);

  test('also drops the node of an agent that is declared gone while no pod is there', async () => {
    const node = (await allRun(11))[0]!.spec.nodeName!;
    await scale(0);
    await eventually(async () => expect(await pods()).toEqual([]), 30_000);
    await markGone(node);
    await eventually(async () => expect(await readiness(node)).toBeUndefined(), 20_000);
  }, 90_000);
});
