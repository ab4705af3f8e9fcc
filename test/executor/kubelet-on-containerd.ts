import { mkdtempSync, rmSync } from 'node:fs';
import { CriRuntime } from '../../executor/runtimes/cri.ts';
import { silent } from '../../lib/log.ts';
import { type Containerd, startContainerd } from './containerd.ts';
import { type TestKubelet, testKubelet } from './kubelet-for-tests.ts';
import { expectNothingLeft } from './leftovers.ts';
import { eventually } from './pods-for-tests.ts';

export interface KubeletOnContainerd {
  containerd: Containerd;
  runtime: CriRuntime;
  kubelet: TestKubelet;
  directory: string;
  /** Ends every pod and looks that nothing of them is left. */
  stop: () => Promise<void>;
}

/** A kubelet on a containerd of its own, `number` as of `startContainerd`. */
export async function kubeletOnContainerd(number: number, owner: string): Promise<KubeletOnContainerd> {
  const containerd = await startContainerd(number);
  const directory = mkdtempSync(`/dev/shm/km-${owner}-`);
  const socket = `unix://${containerd.socket}`;
  const runtime = await CriRuntime.open({ socket, owner, nodeIp: '127.0.0.1', log: silent });
  const kubelet = testKubelet({ runtime, cgroupParent: containerd.cgroup, directory });
  return {
    ...{ containerd, runtime, kubelet, directory },
    async stop() {
      for (const { metadata } of kubelet.pods.list())
        kubelet.pods.end(metadata.uid!, { graceSeconds: 0, remove: true });
      await eventually(() => kubelet.pods.list().length === 0, 'every pod to end', 30_000);
      await expectNothingLeft(containerd, [directory]);
      await kubelet.close();
      await containerd.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
