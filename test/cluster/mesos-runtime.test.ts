import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { askAgent, askMaster } from '../../mesos/operator.ts';
import { eventually } from '../eventually.ts';
import { firstTenMinutes } from './first-ten-minutes.ts';
import { type TestCluster, startTestCluster } from './harness.ts';
import { newestKubectl } from './kubectl.ts';
import { executorsOf } from './processes.ts';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster({ runtime: 'mesos', proxy: 'userspace' });
}, 90_000);
afterAll(async () => {
  await cluster?.kubectl.try('delete', 'deployments,pods', '--all', '--grace-period=1', '--timeout=30s');
  try {
    if (cluster) await eventually(async () => expect(await nested()).toEqual([]), 20_000);
  } finally {
    await cluster?.stop();
  }
}, 90_000);

/** What Mesos itself shows below the executors of all agents. */
async function nested(): Promise<string[]> {
  const { get_agents } = await askMaster({ url: cluster.masterUrl }, { type: 'GET_AGENTS' });
  const found = await Promise.all(
    (get_agents.agents ?? []).map(async ({ pid = '' }) => {
      const call = { type: 'GET_CONTAINERS' as const, get_containers: { show_nested: true } };
      const { get_containers } = await askAgent({ url: `http://${pid.replace(/^.*@/, '')}` }, call);
      return (get_containers.containers ?? []).map(({ container_status }) => container_status?.container_id);
    }),
  );
  return found.flat().flatMap((id) => (id?.parent ? [id.value] : []));
}

firstTenMinutes(() => cluster, newestKubectl());

test('a pod on it is a container that Mesos lists, forwarded to, measured, and let go', async () => {
  const { kubectl } = cluster;
  const script = 'mkdir -p www; echo well > www/health; exec busybox httpd -f -p 127.0.0.1:18345 -h www';
  await kubectl.run('run', 'web', '--image=none', '--command', '--', 'sh', '-c', script);
  await kubectl.run('wait', '--for=condition=Ready', 'pod/web', '--timeout=30s');
  expect(await kubectl.run('get', 'nodes', '-o', 'wide')).toContain('mesos://');
  const id = await kubectl.run('get', 'pod', 'web', '-o', 'jsonpath={.status.containerStatuses[0].containerID}');
  expect(await nested()).toContain(id.replace('mesos://', ''));
  expect(await kubectl.getThrough('pod/web', 18345, '/health')).toMatch(/\r\n\r\nwell\n$/);
  const node = await kubectl.run('get', 'pod', 'web', '-o', 'jsonpath={.spec.nodeName}');
  const summary = await kubectl.run('get', '--raw', `/api/v1/nodes/${node}/proxy/stats/summary`);
  expect(summary).toContain('"workingSetBytes"');
  await kubectl.run('delete', 'pod', 'web', '--grace-period=1');
  expect(await nested()).not.toContain(id.replace('mesos://', ''));
}, 60_000);

test('exit codes and restart policies', async () => {
  const { kubectl } = cluster;
  const run = (name: string, restart: string) =>
    kubectl.run('run', name, '--image=none', `--restart=${restart}`, '--command', '--', 'sh', '-c', 'exit 7');
  const seen = (name: string, path: string) => kubectl.run('get', 'pod', name, '-o', `jsonpath={.status.${path}}`);
  await Promise.all([run('never', 'Never'), run('failing', 'OnFailure')]);
  await eventually(async () => expect(await seen('never', 'phase')).toBe('Failed'), 30_000);
  expect(await seen('never', 'containerStatuses[0].state.terminated.exitCode')).toBe('7');
  expect(await seen('never', 'containerStatuses[0].restartCount')).toBe('0');
  await eventually(
    async () => expect(Number(await seen('failing', 'containerStatuses[0].restartCount'))).toBeGreaterThan(0),
    30_000,
  );
  expect(await seen('failing', 'containerStatuses[0].lastState.terminated.exitCode')).toBe('7');
  await kubectl.run('delete', 'pod', 'never', 'failing', '--grace-period=1');
}, 60_000);

test('an executor that dies takes its containers along; its pods are started again on their node', async () => {
  const { kubectl } = cluster;
  await kubectl.run('run', 'stays', '--image=none', '--command', '--', 'sleep', '1000');
  await kubectl.run('wait', '--for=condition=Ready', 'pod/stays', '--timeout=30s');
  const shown = (path: string) => kubectl.run('get', 'pod', 'stays', '-o', `jsonpath={${path}}`);
  const [uid, node] = [await shown('.metadata.uid'), await shown('.spec.nodeName')];
  const before = await shown('.status.containerStatuses[0].containerID');
  const executor = executorsOf(cluster).find((one) => one.node === node);
  process.kill(executor?.pid ?? 0, 'SIGKILL');
  await eventually(async () => {
    expect(await nested()).not.toContain(before.replace('mesos://', ''));
    const now = await shown('.status.containerStatuses[0].containerID');
    expect(now).not.toBe(before);
    expect(await nested()).toContain(now.replace('mesos://', ''));
  }, 40_000);
  expect([await shown('.metadata.uid'), await shown('.spec.nodeName')]).toEqual([uid, node]);
  expect(await shown('.status.containerStatuses[0].restartCount')).toBe('1');
  expect(await shown('.status.containerStatuses[0].lastState.terminated.message')).toContain('ends with an executor');
  await kubectl.run('delete', 'pod', 'stays', '--grace-period=1');
}, 90_000);
