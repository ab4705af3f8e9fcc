import type { ClusterOptions } from '../../cli/cluster.ts';
import { type Containerd, containerdIsHere, startContainerd } from '../executor/containerd.ts';
import { type TestCluster, startTestCluster } from './harness.ts';

/** A cluster, and what it runs on. */
export interface Place {
  cluster: TestCluster;
  stop(): Promise<void>;
}

async function withProcesses(overrides: Partial<ClusterOptions> = {}): Promise<Place> {
  const cluster = await startTestCluster(overrides);
  return { cluster, stop: () => cluster.stop() };
}

async function withContainerd(overrides: Partial<ClusterOptions> = {}): Promise<Place> {
  const containerd: Containerd = await startContainerd(10);
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

/** On every runtime that is here. */
export const places = [
  ['process', withProcesses] as const,
  ...(containerdIsHere ? [['cri', withContainerd] as const] : []),
];
