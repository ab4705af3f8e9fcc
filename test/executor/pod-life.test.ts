import { describe } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { containerdIsHere } from './containerd.ts';
import { dockerIsHere } from './dockerd.ts';
import { busyboxImage } from './images.ts';
import { testKubelet } from './kubelet-for-tests.ts';
import { type KubeletOn, kubeletOnContainerd, kubeletOnDocker } from './kubelet-on.ts';
import { startMesosAgent } from './mesos-agent.ts';
import { type Life, describePodLife } from './pod-life.suite.ts';
import { eventually } from './pods-for-tests.ts';

describePodLife('process', () => {
  const kubelet = testKubelet();
  return Promise.resolve({ kubelet, image: 'none', close: () => kubelet.close() });
});

describePodLife('Mesos', async () => {
  const agent = await startMesosAgent();
  const directory = mkdtempSync('/dev/shm/km-mesos-');
  const kubelet = testKubelet({ runtime: await agent.open(join(directory, 'mesos')), directory });
  return {
    ...{ kubelet, image: 'none' },
    async close() {
      for (const { metadata } of kubelet.pods.list())
        kubelet.pods.end(metadata.uid ?? '', { graceSeconds: 0, remove: true });
      await eventually(() => kubelet.pods.list().length === 0, 'every pod to end', 30_000);
      const nested = await agent.nested();
      await kubelet.close();
      await agent.stop();
      rmSync(directory, { recursive: true, force: true });
      if (nested.length > 0) throw new Error(`pods left containers: ${nested.join(', ')}`);
    },
  };
});

const isRoot = process.getuid?.() === 0;
const onItsOwn = ({ kubelet, stop }: KubeletOn): Life => ({ kubelet, image: busyboxImage, close: stop });

(containerdIsHere && isRoot ? describe : describe.skip)('with containerd', () =>
  describePodLife('CRI', async () => onItsOwn(await kubeletOnContainerd(12, 'life'))),
);
(dockerIsHere && isRoot ? describe : describe.skip)('with Docker', () =>
  describePodLife('Docker', async () => onItsOwn(await kubeletOnDocker(12, 'life'))),
);
