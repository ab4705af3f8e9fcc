import { describe } from '@jest/globals';
import { containerdIsHere } from './containerd.ts';
import { dockerIsHere } from './dockerd.ts';
import { describeIsolation } from './isolation.suite.ts';
import { kubeletOnContainerd, kubeletOnDocker } from './kubelet-on.ts';

const isRoot = process.getuid?.() === 0;

(containerdIsHere && isRoot ? describe : describe.skip)('with containerd', () =>
  describeIsolation('containerd', () => kubeletOnContainerd(13, 'isolation')),
);
(dockerIsHere && isRoot ? describe : describe.skip)('with Docker', () =>
  describeIsolation('Docker', () => kubeletOnDocker(13, 'isolation')),
);
