import { mkdtempSync, rmSync } from 'node:fs';
import type { CgroupDriver, Runtime } from '../../executor/runtime.ts';
import { CriRuntime } from '../../executor/runtimes/cri.ts';
import { DockerRuntime } from '../../executor/runtimes/docker.ts';
import { silent } from '../../lib/log.ts';
import { startContainerd } from './containerd.ts';
import { startDockerd } from './dockerd.ts';
import { pauseImage } from './images.ts';
import { type TestKubelet, testKubelet } from './kubelet-for-tests.ts';
import { type Place, expectNothingLeft } from './leftovers.ts';
import { eventually } from './pods-for-tests.ts';

/** A kubelet on a runtime of its own. */
export interface KubeletOn {
  place: Place & { kill(): Promise<void>; start(): Promise<void> };
  runtime: Runtime;
  kubelet: TestKubelet;
  directory: string;
  /** Ends every pod and looks that nothing of them is left. */
  stop(): Promise<void>;
}

/** `number` as of `startContainerd`. */
export async function kubeletOnContainerd(number: number, owner: string, driver?: CgroupDriver): Promise<KubeletOn> {
  const containerd = await startContainerd(number, undefined, undefined, driver);
  const socket = `unix://${containerd.socket}`;
  return kubeletOn(containerd, await CriRuntime.open({ socket, owner, nodeIp: '127.0.0.1', log: silent }));
}

/** `number` as of `startDockerd`. */
export async function kubeletOnDocker(number: number, owner: string): Promise<KubeletOn> {
  const dockerd = await startDockerd(number);
  const { host } = dockerd;
  const options = { host, owner, nodeIp: '127.0.0.1', network: 'bridge', pauseImage, log: silent };
  return kubeletOn(dockerd, await DockerRuntime.open(options));
}

function kubeletOn(place: KubeletOn['place'] & { stop(): Promise<void> }, runtime: Runtime): KubeletOn {
  const directory = mkdtempSync('/dev/shm/km-kubelet-');
  const kubelet = testKubelet({ runtime, cgroupParent: place.cgroup, directory });
  return {
    ...{ place, runtime, kubelet, directory },
    async stop() {
      for (const { metadata } of kubelet.pods.list())
        kubelet.pods.end(metadata.uid!, { graceSeconds: 0, remove: true });
      await eventually(() => kubelet.pods.list().length === 0, 'every pod to end', 30_000);
      try {
        await expectNothingLeft(place, [directory]);
      } finally {
        await kubelet.close();
        await place.stop();
        rmSync(directory, { recursive: true, force: true });
      }
    },
  };
}
