import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { eventually } from '../eventually.ts';
import { type TestCluster, startTestCluster } from './harness.ts';
import { executorsOf } from './processes.ts';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster({ flags: { scheduler: ['--executor-env', 'KM_IDLE_TIMEOUT=1s'] } });
}, 90_000);
afterAll(() => cluster?.stop(), 60_000);

const runs = async (name: string) => {
  const { kubectl } = cluster;
  await kubectl.run('run', name, '--image=k8s.test/busybox:1', '--command', '--', 'sh', '-c', 'echo here; sleep 1000');
  await kubectl.run('wait', '--for=condition=Ready', `pod/${name}`, '--timeout=30s');
};

test('an executor leaves its agent when it has had no pod for long; its node stays and gets another with the next pod', async () => {
  const { kubectl, restarts } = cluster;
  await runs('first');
  const node = await kubectl.run('get', 'pod', 'first', '-o', 'jsonpath={.spec.nodeName}');
  expect(executorsOf(cluster).map((one) => one.node)).toContain(node);
  await kubectl.run('delete', 'pod', 'first', '--now');
  await eventually(() => expect(executorsOf(cluster)).toEqual([]), 20_000);
  const ready =
    'jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].reason}';
  await eventually(async () => {
    expect(await kubectl.run('get', 'node', node, '-o', ready)).toBe('True MesosAgentRegistered');
  }, 20_000);
  const nodes = (await kubectl.run('get', 'nodes', '-o', 'jsonpath={.items[*].metadata.name}')).split(' ');
  await kubectl.run('cordon', ...nodes.filter((one) => one !== node));
  await runs('second');
  expect(await kubectl.run('get', 'pod', 'second', '-o', 'jsonpath={.spec.nodeName}')).toBe(node);
  await eventually(async () => expect(await kubectl.run('logs', 'second')).toContain('here'), 10_000);
  expect(restarts).toEqual([]);
}, 120_000);
