import { afterAll, beforeAll, describe } from '@jest/globals';
import { containerdIsHere } from './containerd.ts';
import { busyboxImage } from './images.ts';
import { type KubeletOn, kubeletOnContainerd } from './kubelet-on.ts';
import { type PodRuns, podRuns } from './pod-runs.ts';

/**
 * A block of specs about pods on a containerd of its own (`number` as of `startContainerd`). They may run side by side; what they leave is
 * ended after the last.
 */
export function onContainerd(title: string, number: number, specs: (pods: PodRuns) => void): void {
  const describeHere = containerdIsHere && process.getuid?.() === 0 ? describe : describe.skip;
  describeHere(title, () => {
    let on: KubeletOn | undefined;
    beforeAll(async () => void (on = await kubeletOnContainerd(number, 'conformance')), 60_000);
    afterAll(() => on?.stop(), 60_000);
    const kubelet = () => {
      if (!on) throw new Error('the kubelet is there once the first test runs');
      return on.kubelet;
    };
    specs(podRuns(kubelet, busyboxImage));
  });
}
