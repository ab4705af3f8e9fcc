import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Dockerd, startDockerd } from '../executor/dockerd.ts';
import { busyboxImage, pauseImage } from '../executor/images.ts';
import { expectNothingLeft } from '../executor/leftovers.ts';
import { eventually } from '../eventually.ts';
import { describeAdoption } from './adoption.suite.ts';
import { firstTenMinutes } from './first-ten-minutes.ts';
import { type TestCluster, startTestCluster } from './harness.ts';
import { newestKubectl } from './kubectl.ts';
import { executorsOf } from './processes.ts';

let dockerd: Dockerd;
let cluster: TestCluster;
beforeAll(async () => {
  dockerd = await startDockerd(7);
  cluster = await startTestCluster({
    runtime: 'docker',
    dockerHost: dockerd.host,
    executorFlags: ['--cgroup-parent', dockerd.cgroup, '--pod-infra-container-image', pauseImage],
  });
}, 90_000);
afterAll(async () => {
  await cluster?.kubectl.try('delete', 'deployments,pods', '--all', '--grace-period=1', '--timeout=30s');
  try {
    if (cluster) await expectNothingLeft(dockerd, [cluster.dir]);
  } finally {
    await cluster?.stop();
    await dockerd?.stop();
  }
}, 90_000);

firstTenMinutes(() => cluster, newestKubectl());

test('its nodes say what runs there; a pod on it is reached by its address, forwarded to, measured, and let go', async () => {
  const { kubectl } = cluster;
  const script = 'echo well > /tmp/health; exec httpd -f -p 127.0.0.1:8080 -h /tmp';
  await kubectl.run('run', 'web', `--image=${busyboxImage}`, '--command', '--', 'sh', '-c', script);
  await kubectl.run('wait', '--for=condition=Ready', 'pod/web', '--timeout=30s');
  expect(await kubectl.run('get', 'nodes', '-o', 'wide')).toContain('docker://');
  const shown = '{.status.podIP} {.status.containerStatuses[0].containerID}';
  expect(await kubectl.run('get', 'pod', 'web', '-o', `jsonpath=${shown}`)).toMatch(
    /^10\.87\.7\.\d+ docker:\/\/[0-9a-f]{64}$/,
  );
  expect(await kubectl.getThrough('pod/web', 8080, '/health')).toMatch(/\r\n\r\nwell\n$/);
  const node = await kubectl.run('get', 'pod', 'web', '-o', 'jsonpath={.spec.nodeName}');
  const summary = await kubectl.run('get', '--raw', `/api/v1/nodes/${node}/proxy/stats/summary`);
  expect(summary).toContain('"workingSetBytes"');
  expect(await kubectl.run('delete', 'pod', 'web', '--grace-period=1')).toContain('deleted');
  expect((await kubectl.try('get', 'pod', 'web')).code).not.toBe(0);
});

test('nothing that was said is lost or said twice when the executor is killed', async () => {
  const { kubectl } = cluster;
  const script = 'n=0; while :; do n=$((n+1)); echo $n; sleep 0.01; done';
  await kubectl.run('run', 'counts', `--image=${busyboxImage}`, '--command', '--', 'sh', '-c', script);
  await kubectl.run('wait', '--for=condition=Ready', 'pod/counts', '--timeout=30s');
  const node = await kubectl.run('get', 'pod', 'counts', '-o', 'jsonpath={.spec.nodeName}');
  const { pid } = executorsOf(cluster).find((executor) => executor.node === node)!;
  process.kill(pid, 'SIGKILL');
  const numbers = await eventually(async () => {
    const { code, stdout } = await kubectl.try('logs', 'counts');
    expect(code).toBe(0);
    expect(executorsOf(cluster).find((executor) => executor.node === node)?.pid).not.toBe(pid);
    return stdout.trim().split('\n').map(Number);
  }, 40_000);
  expect(numbers).toEqual(numbers.map((_, i) => i + 1));
  await kubectl.run('delete', 'pod', 'counts', '--grace-period=1');
}, 90_000);

describeAdoption(
  () => cluster,
  () => dockerd,
);
