import { afterAll, beforeAll } from '@jest/globals';
import { type Containerd, startContainerd } from '../executor/containerd.ts';
import { expectNothingLeft } from '../executor/leftovers.ts';
import { describeAdoption } from './adoption.suite.ts';
import { type TestCluster, startTestCluster } from './harness.ts';

let containerd: Containerd;
let cluster: TestCluster;
beforeAll(async () => {
  containerd = await startContainerd(9);
  cluster = await startTestCluster({
    runtime: 'cri',
    criSocket: `unix://${containerd.socket}`,
    executorFlags: ['--cgroup-parent', containerd.cgroup],
  });
}, 90_000);
afterAll(async () => {
  await cluster?.kubectl.try('delete', 'deployments,pods', '--all', '--grace-period=1', '--timeout=30s');
  if (cluster) await expectNothingLeft(containerd, [cluster.dir]);
  await cluster?.stop();
  await containerd?.stop();
}, 90_000);

describeAdoption(
  () => cluster,
  () => containerd,
);
