import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { machineAddress } from '../../cli/cluster-dns.ts';
import { type Containerd, startContainerd } from '../executor/containerd.ts';
import { expectNothingLeft } from '../executor/leftovers.ts';
import { eventually } from '../eventually.ts';
import { type TestCluster, startTestCluster } from './harness.ts';

// The try-out with containers: pods with networks of their own find each other and the API by name.

let containerd: Containerd;
let cluster: TestCluster;
beforeAll(async () => {
  containerd = await startContainerd(18);
  cluster = await startTestCluster({
    runtime: 'cri',
    criSocket: `unix://${containerd.socket}`,
    executorFlags: ['--cgroup-parent', containerd.cgroup],
    proxy: 'nftables',
    serviceCidr: '10.118.0.0/16',
    bindAddress: '0.0.0.0',
    podsReach: await machineAddress(),
  });
  const image = ['--image=k8s.test/busybox:1'];
  await cluster.kubectl.run('run', 'web', ...image, '--labels=app=web', '--command', '--', 'httpd', '-f', '-p', '8080');
  await cluster.kubectl.run('expose', 'pod', 'web', '--port=80', '--target-port=8080');
  await cluster.kubectl.run('run', 'asks', ...image, '--command', '--', 'sleep', '1000');
  await cluster.kubectl.run('wait', '--for=condition=Ready', 'pod/web', 'pod/asks', '--timeout=60s');
}, 90_000);
afterAll(async () => {
  await cluster?.kubectl.try('delete', 'pods', '--all', '--grace-period=1', '--timeout=30s');
  if (cluster) await expectNothingLeft(containerd, [cluster.dir]);
  await cluster?.stop();
  await containerd?.stop();
}, 90_000);

const inPod = (script: string) => cluster.kubectl.run('exec', 'asks', '--', 'sh', '-c', script);

test('a Service is found by its short name, and answers', async () => {
  // The rules are written a moment after the endpoints are known. The server has no page, which is an answer too.
  await eventually(
    async () => expect(await inPod('printf "GET / HTTP/1.0\\r\\n\\r\\n" | nc -w 2 web 80 || true')).toMatch(/404/),
    20_000,
  );
  expect(await inPod('nslookup web.default.svc.cluster.local')).toMatch(/Address(?: 1)?: 10\.118\./);
}, 60_000);

test('the API is reached by its name', async () => {
  expect(await inPod('nslookup kubernetes.default.svc.cluster.local')).toContain('10.118.0.1');
  expect(await inPod('nc -w 3 kubernetes.default.svc.cluster.local 443 </dev/null && echo open')).toBe('open\n');
});

test('after a stop no rule is left', async () => {
  expect(tables()).toContain('km-proxy');
  await cluster.kubectl.run('delete', 'pods', '--all', '--grace-period=1', '--timeout=30s');
  await expectNothingLeft(containerd, [cluster.dir]);
  await cluster.stop();
  expect(tables()).not.toContain('km-proxy');
}, 60_000);

const tables = () => execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' });
