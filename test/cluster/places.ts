import type { ClusterOptions } from '../../cli/cluster.ts';
import { type Containerd, containerdIsHere, startContainerd } from '../executor/containerd.ts';
import { dockerIsHere, startDockerd } from '../executor/dockerd.ts';
import { pauseImage } from '../executor/images.ts';
import { type TestCluster, startTestCluster } from './harness.ts';

/** Of the bridges and addresses of containers: files that run side by side have each their own. */
const number = 10 + Number(process.env.JEST_WORKER_ID ?? 1);

/** A cluster, and what it runs on. */
export interface Place {
  cluster: TestCluster;
  stop(): Promise<void>;
}

async function withProcesses(overrides: Partial<ClusterOptions> = {}): Promise<Place> {
  const cluster = await startTestCluster(overrides);
  return { cluster, stop: () => cluster.stop() };
}

export async function withContainerd(overrides: Partial<ClusterOptions> = {}): Promise<Place> {
  const containerd: Containerd = await startContainerd(number);
  try {
    const cluster = await startTestCluster({
      ...overrides,
      runtime: 'cri',
      criSocket: `unix://${containerd.socket}`,
      executorFlags: ['--cgroup-parent', containerd.cgroup],
    });
    return { cluster, stop: () => cluster.stop().finally(() => containerd.stop()) };
  } catch (error) {
    await containerd.stop();
    throw error;
  }
}

async function withDocker(overrides: Partial<ClusterOptions> = {}): Promise<Place> {
  const dockerd = await startDockerd(number);
  try {
    const cluster = await startTestCluster({
      ...overrides,
      runtime: 'docker',
      dockerHost: dockerd.host,
      executorFlags: ['--cgroup-parent', dockerd.cgroup, '--pod-infra-container-image', pauseImage],
    });
    return { cluster, stop: () => cluster.stop().finally(() => dockerd.stop()) };
  } catch (error) {
    await dockerd.stop();
    throw error;
  }
}

/** On every runtime that is here. */
export const places = [
  ['process', withProcesses] as const,
  ...(containerdIsHere ? [['cri', withContainerd] as const] : []),
  ...(dockerIsHere ? [['docker', withDocker] as const] : []),
];
