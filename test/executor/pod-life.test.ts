import { describe } from '@jest/globals';
import { containerdIsHere } from './containerd.ts';
import { dockerIsHere } from './dockerd.ts';
import { busyboxImage } from './images.ts';
import { testKubelet } from './kubelet-for-tests.ts';
import { type KubeletOn, kubeletOnContainerd, kubeletOnDocker } from './kubelet-on.ts';
import { type Life, describePodLife } from './pod-life.suite.ts';

describePodLife('process', () => {
  const kubelet = testKubelet();
  return Promise.resolve({ kubelet, image: 'none', close: () => kubelet.close() });
});

const isRoot = process.getuid?.() === 0;
const onItsOwn = ({ kubelet, stop }: KubeletOn): Life => ({ kubelet, image: busyboxImage, close: stop });

(containerdIsHere && isRoot ? describe : describe.skip)('with containerd', () =>
  describePodLife('CRI', async () => onItsOwn(await kubeletOnContainerd(12, 'life'))),
);
(dockerIsHere && isRoot ? describe : describe.skip)('with Docker', () =>
  describePodLife('Docker', async () => onItsOwn(await kubeletOnDocker(12, 'life'))),
);
