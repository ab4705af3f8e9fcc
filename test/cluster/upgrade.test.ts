import { rm } from 'node:fs/promises';
import { afterAll, expect, test } from '@jest/globals';
import { annotations } from '../../api/kinds/names.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { freePort } from '../../cli/ports.ts';
import { askMaster } from '../../mesos/operator.ts';
import { cluster as devcluster, endAll } from '../devcluster/builders.ts';
import { eventually } from '../eventually.ts';

import { type TestCluster, startTestCluster, talkers, testDirectory } from './harness.ts';

const dir = testDirectory();
let cluster: TestCluster | undefined;
afterAll(async () => {
  await cluster?.stop();
  await endAll();
  await rm(dir, { recursive: true, force: true });
}, 60_000);

const selector = { namespace: 'default', labelSelector: 'app=crew' };
const ready = (count: number) =>
  eventually(async () => {
    const { items } = await cluster!.client.list(Pod, selector);
    const pods = items.filter(({ status }) => status?.containerStatuses?.[0]?.ready);
    expect(pods).toHaveLength(count);
    return pods.map(({ metadata, spec, status }) => ({
      uid: metadata.uid,
      node: spec.nodeName,
      containers: status?.containerStatuses?.map(({ containerID }) => containerID),
      task: metadata.annotations?.[annotations.taskId],
    }));
  }, 40_000);

test('a scheduler that would start executors otherwise, and may not read how they were, places pods beside those that run', async () => {
  const hidden = { view_executors: [{ principals: { type: 'ANY' }, users: { type: 'NONE' } }] };
  const specs = [{ hostname: 'only', resources: 'cpus:4;mem:4096;disk:8192;ports:[31000-31999]' }];
  const mesos = await devcluster({ agents: specs }, { acls: JSON.stringify(hidden) });
  // Executors find the apiserver where it was.
  const apiserverPort = await freePort();
  const start = (...scheduler: string[]) =>
    startTestCluster({ dir, apiserverPort, masters: mesos.masterUrl, flags: { scheduler } });
  cluster = await start();
  await cluster.kubectl.feed(talkers('crew', 2), 'apply', '-f', '-');
  const before = await ready(2);
  await cluster.stop();
  cluster = await start('--executor-env', 'KM_OF=another-version');
  await cluster.kubectl.run('scale', 'deployment/crew', '--replicas=3');
  const after = await ready(3);
  expect(after).toEqual(expect.arrayContaining(before));
  expect(new Set(after.map(({ node }) => node))).toEqual(new Set(['only']));
  const { get_executors } = await askMaster({ url: mesos.masterUrl }, { type: 'GET_EXECUTORS' });
  expect(get_executors.executors ?? []).toEqual([]);
}, 120_000);
