import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { annotations } from '../../api/kinds/names.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { type Containerd, startContainerd } from '../executor/containerd.ts';
import { expectNothingLeft } from '../executor/leftovers.ts';
import { firstTenMinutes } from './first-ten-minutes.ts';
import { type TestCluster, startTestCluster } from './harness.ts';
import { newestKubectl } from './kubectl.ts';

let containerd: Containerd;
let cluster: TestCluster;
let manifests: string;
beforeAll(async () => {
  manifests = mkdtempSync('/dev/shm/km-manifests-');
  const containers = [{ name: 'c', image: 'k8s.test/busybox:1', command: ['sleep', '1000'] }];
  const spec = { terminationGracePeriodSeconds: 1, containers };
  writeFileSync(join(manifests, 'own.json'), JSON.stringify({ kind: 'Pod', metadata: { name: 'own' }, spec }));
  containerd = await startContainerd(7);
  cluster = await startTestCluster({
    runtime: 'cri',
    criSocket: `unix://${containerd.socket}`,
    executorFlags: ['--cgroup-parent', containerd.cgroup, '--pod-manifest-path', manifests],
  });
}, 90_000);
afterAll(async () => {
  await cluster?.kubectl.try('delete', 'deployments,pods', '--all', '--grace-period=1', '--timeout=30s');
  if (cluster) await expectNothingLeft(containerd, [cluster.dir]);
  await cluster?.stop();
  await containerd?.stop();
  rmSync(manifests, { recursive: true, force: true });
}, 90_000);

firstTenMinutes(() => cluster, newestKubectl());

test('a static pod runs where an executor does, shown by its mirror, without a task', async () => {
  const { kubectl, client } = cluster;
  await kubectl.run('run', 'first', '--image=k8s.test/busybox:1', '--command', '--', 'sleep', '1000');
  await kubectl.run('wait', '--for=condition=Ready', 'pod/first', '--timeout=30s');
  const node = await kubectl.run('get', 'pod', 'first', '-o', 'jsonpath={.spec.nodeName}');
  await kubectl.run('wait', '--for=condition=Ready', `pod/own-${node}`, '--timeout=30s');
  const { metadata, status } = await client.get(Pod, { namespace: 'default', name: `own-${node}` });
  expect(status?.podIP).toMatch(/^10\.89\.7\./);
  expect(metadata.annotations?.[annotations.taskId]).toBeUndefined();
  expect(await kubectl.run('exec', `own-${node}`, '--', 'hostname')).toBe(`own-${node}\n`);
  rmSync(join(manifests, 'own.json'));
  await kubectl.run('wait', '--for=delete', `pod/own-${node}`, '--timeout=30s');
  await kubectl.run('delete', 'pod', 'first', '--grace-period=1');
});

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

test('a web server is ready by its probe, is debugged by a container beside it, and is let go by its hook', async () => {
  const { kubectl } = cluster;
  const script = 'mkdir /www; echo well > /www/health; exec httpd -f -p 8080 -h /www';
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'probed', namespace: 'default' },
    spec: {
      terminationGracePeriodSeconds: 4,
      containers: [
        {
          name: 'web',
          image: 'k8s.test/busybox:1',
          command: ['sh', '-c', script],
          ports: [{ name: 'http', containerPort: 8080 }],
          readinessProbe: { httpGet: { path: '/health', port: 'http' }, periodSeconds: 1, failureThreshold: 1 },
          lifecycle: {
            postStart: { exec: { command: ['sh', '-c', 'echo hello > /started'] } },
            preStop: { sleep: { seconds: 1 } },
          },
        },
      ],
    },
  };
  expect(await kubectl.feed(JSON.stringify(pod), 'apply', '-f', '-')).toMatchObject({ code: 0 });
  await kubectl.run('wait', '--for=condition=Ready', 'pod/probed', '--timeout=30s');
  expect(await kubectl.run('exec', 'probed', '--', 'cat', '/started')).toContain('hello');
  await kubectl.run('exec', 'probed', '--', 'rm', '/www/health');
  await kubectl.run('wait', '--for=condition=Ready=false', 'pod/probed', '--timeout=30s');
  expect(await kubectl.run('get', 'events')).toContain(
    'Readiness probe failed: HTTP probe failed with statuscode: 404',
  );

  const debug = ['debug', 'probed', '--image=k8s.test/busybox:1', '--target=web', '--container=look', '--', 'ps'];
  await kubectl.run(...debug);
  const state = '{.status.ephemeralContainerStatuses[0].state.terminated.reason}';
  await kubectl.run('wait', `--for=jsonpath=${state}=Completed`, 'pod/probed', '--timeout=30s');
  expect(await kubectl.run('logs', 'probed', '-c', 'look')).toContain('httpd -f -p 8080');
  await kubectl.run('delete', 'pod', 'probed');
});
