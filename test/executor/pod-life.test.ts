import { mkdtempSync, rmSync } from 'node:fs';
import { describe } from '@jest/globals';
import { CriRuntime } from '../../executor/runtimes/cri.ts';
import { silent } from '../../lib/log.ts';
import { busyboxImage, containerdIsHere, startContainerd } from './containerd.ts';
import { testKubelet } from './kubelet-for-tests.ts';
import { describePodLife } from './pod-life.suite.ts';

describePodLife('process', () => {
  const kubelet = testKubelet();
  return Promise.resolve({ kubelet, image: 'none', close: () => kubelet.close() });
});

const describeHere = containerdIsHere && process.getuid?.() === 0 ? describe : describe.skip;

describeHere('with containerd', () => {
  describePodLife('CRI', async () => {
    const containerd = await startContainerd(12);
    const directory = mkdtempSync('/dev/shm/km-life-');
    const socket = `unix://${containerd.socket}`;
    const runtime = await CriRuntime.open({ socket, owner: 'life', nodeIp: '127.0.0.1', log: silent });
    const kubelet = testKubelet({ runtime, cgroupParent: containerd.cgroup, directory });
    return {
      kubelet,
      image: busyboxImage,
      close: async () => {
        await kubelet.pods.close();
        await Promise.all((await runtime.pods()).map((pod) => runtime.removeSandbox(pod.sandbox.id)));
        await kubelet.close();
        await containerd.stop();
        rmSync(directory, { recursive: true, force: true });
      },
    };
  });
});
