import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { askMaster } from '../../mesos/operator.ts';
import type { Resource } from '../../mesos/types.ts';
import { eventually } from '../eventually.ts';
import { type TestCluster, startTestCluster } from './harness.ts';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster({ flags: { scheduler: ['--revocable', '--quota-interval', '500ms'] } });
}, 90_000);
afterAll(() => cluster?.stop(), 60_000);

const pod = (name: string, { marked = true, requests = '' } = {}) => `
apiVersion: v1
kind: Pod
metadata: { name: ${name}${marked ? `, annotations: { k8s.mesosphere.io/revocable: 'true' }` : ''} }
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - { name: main, image: 'k8s.test/busybox:1', command: [sh, -c, 'echo here; exec sleep 1000']${requests} }
`;
const everywhere = `
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: everywhere }
spec:
  selector: { matchLabels: { app: everywhere } }
  template:
    metadata: { labels: { app: everywhere } }
    spec: { containers: [{ name: main, image: 'k8s.test/busybox:1', command: [sleep, '1000'] }] }
`;
const requests = ', resources: { requests: { cpu: 50m } }';
const apply = async (text: string) =>
  expect(await cluster.kubectl.feed(text, 'apply', '-f', '-')).toMatchObject({ stderr: '', code: 0 });
const ready = (name: string) => cluster.kubectl.run('wait', '--for=condition=Ready', `pod/${name}`, '--timeout=60s');
const get = (what: string, path: string) => cluster.kubectl.run('get', ...what.split(' '), '-o', `jsonpath=${path}`);
const fault = async (order: object) => {
  const headers = { 'content-type': 'application/json' };
  const sent = { method: 'POST', headers, body: JSON.stringify({ agent: 0, ...order }) };
  expect((await fetch(`${cluster.masterUrl}/devcluster/faults`, sent)).status).toBe(200);
};
async function taskOf(name: string) {
  const { get_tasks } = await askMaster({ url: cluster.masterUrl }, { type: 'GET_TASKS' });
  return get_tasks.tasks?.find((task) => task.name === `${name}.default.pod`);
}
const revocableOf = (resources: readonly Resource[] = []) =>
  resources.filter(({ revocable }) => revocable !== undefined).map(({ name }) => name);

test('pods that may lose everything run on what nobody uses, until it is taken back', async () => {
  const before = await get('node agent-1', '{.status.allocatable.cpu}');
  await apply(pod('thrifty'));
  await eventually(
    async () => expect(await cluster.kubectl.run('describe', 'pod', 'thrifty')).toContain('0/0 nodes are available'),
    30_000,
  );
  await fault({ fault: 'oversubscribe', resources: 'cpus:2' });
  await ready('thrifty');
  expect(await get('pod thrifty', '{.spec.nodeName}')).toBe('agent-1-revocable');
  const task = await taskOf('thrifty');
  expect(task?.executor_id?.value).toBe('km-kubernetes-revocable');
  expect(revocableOf(task?.resources)).toEqual(['cpus']);
  const { get_executors } = await askMaster({ url: cluster.masterUrl }, { type: 'GET_EXECUTORS' });
  expect(revocableOf(get_executors.executors?.[0]?.executor_info.resources)).toEqual(['cpus']);
  expect((await cluster.kubectl.run('logs', 'thrifty')).trim()).toBe('here');

  // What is taken back is no part of the usual node, and is what the other has.
  expect(await get('node agent-1', '{.status.allocatable.cpu}')).toBe(before);
  expect(await get('node agent-1-revocable', '{.status.allocatable.cpu}')).toBe('1900m');

  // Who asks for something, or did not say so, gets what cannot be taken away.
  await apply(pod('asking', { requests }));
  await apply(pod('unmarked', { marked: false }));
  for (const name of ['asking', 'unmarked']) {
    await ready(name);
    expect(await get(`pod ${name}`, '{.spec.nodeName}')).toMatch(/^agent-[123]$/);
    expect(revocableOf((await taskOf(name))?.resources)).toEqual([]);
  }

  await fault({ fault: 'preempt' });
  await eventually(
    async () => expect(await get('pod thrifty', '{.status.phase} {.status.reason}')).toBe('Failed Preempted'),
    30_000,
  );
  for (const name of ['asking', 'unmarked']) expect(await get(`pod ${name}`, '{.status.phase}')).toBe('Running');
  await apply(everywhere);
  await eventually(
    async () => expect(await get('daemonset everywhere', '{.status.desiredNumberScheduled}')).toBe('3'),
    30_000,
  );
  await apply(pod('next'));
  await ready('next');
  expect(await get('pod next', '{.spec.nodeName}')).toBe('agent-1-revocable');
}, 240_000);
