import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Containerd, startContainerd } from '../executor/containerd.ts';
import { firstTenMinutes } from './first-ten-minutes.ts';
import { type TestCluster, startTestCluster } from './harness.ts';
import { newestKubectl } from './kubectl.ts';

let containerd: Containerd;
let cluster: TestCluster;
beforeAll(async () => {
  containerd = await startContainerd(7);
  cluster = await startTestCluster({
    runtime: 'cri',
    criSocket: `unix://${containerd.socket}`,
    executorFlags: ['--cgroup-parent', containerd.cgroup],
  });
}, 90_000);
afterAll(async () => {
  await cluster?.kubectl.try('delete', 'deployments,pods', '--all', '--grace-period=1', '--timeout=30s');
  await cluster?.stop();
  await containerd?.stop();
}, 90_000);

firstTenMinutes(() => cluster, newestKubectl());

test('containers are isolated: their own addresses, process ids and file system', async () => {
  const { kubectl } = cluster;
  await kubectl.run('run', 'alone', '--image=k8s.test/busybox:1', '--command', '--', 'sleep', '1000');
  await kubectl.run('wait', '--for=condition=Ready', 'pod/alone', '--timeout=30s');
  const ip = await kubectl.run('get', 'pod', 'alone', '-o', 'jsonpath={.status.podIP}');
  expect(ip).not.toBe('127.0.0.1');
  expect(await kubectl.run('exec', 'alone', '--', 'ip', 'addr')).toContain(ip);
  expect(await kubectl.run('exec', 'alone', '--', 'cat', '/proc/1/cmdline')).toContain('sleep');
  expect((await kubectl.try('exec', 'alone', '--', 'ls', '/usr/share/java')).code).not.toBe(0);
  await kubectl.run('delete', 'pod', 'alone', '--grace-period=1');
});
