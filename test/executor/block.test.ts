import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { closeSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Pod, PodSpec } from '../../api/kinds/pod.ts';
import type { PersistentVolume } from '../../api/kinds/persistent-volume.ts';
import { containerdIsHere } from './containerd.ts';
import { dockerIsHere } from './dockerd.ts';
import { busyboxImage } from './images.ts';
import { type KubeletOn, kubeletOnContainerd, kubeletOnDocker } from './kubelet-on.ts';
import { loopDevice, releaseLoop } from './loop-device.ts';
import { type PodRuns, podRuns } from './pod-runs.ts';

function describeDevices(name: string, open: () => Promise<KubeletOn>): void {
  describe(`a block device on ${name}`, () => {
    let on: KubeletOn;
    let pods: PodRuns;
    let directory: string;
    let device: string;
    beforeAll(async () => {
      directory = mkdtempSync('/dev/shm/km-block-');
      device = loopDevice(join(directory, 'disk'));
      on = await open();
      pods = podRuns(() => on.kubelet, busyboxImage);
    }, 60_000);
    afterAll(async () => {
      try {
        await on?.stop();
      } finally {
        releaseLoop(device);
        rmSync(directory, { recursive: true, force: true });
      }
    }, 60_000);

    /** A claim that is bound to a volume of that kind. */
    const claim = (
      name: string,
      spec: Partial<PersistentVolume['spec']>,
      volumeMode: 'Block' | 'Filesystem' = 'Block',
    ) => {
      const { claims, volumes } = on.kubelet.apiserver;
      const claimRef = { namespace: 'default', name, uid: `uid-${name}` };
      volumes.set(name, { metadata: { name }, spec: { claimRef, volumeMode, ...spec } });
      claims.set(`default/${name}`, {
        metadata: { name, uid: claimRef.uid },
        spec: {
          accessModes: ['ReadWriteOnce'],
          resources: { requests: { storage: '4Mi' } },
          volumeName: name,
          volumeMode,
        },
        status: { phase: 'Bound' },
      });
    };
    const of = (claimName: string, readOnly = false): Partial<PodSpec> => ({
      restartPolicy: 'Never',
      volumes: [{ name: 'disk', persistentVolumeClaim: { claimName, ...(readOnly ? { readOnly } : {}) } }],
    });
    const volumeDevices = [{ name: 'disk', devicePath: '/dev/xvda' }];
    const run = (script: string, spec: Partial<PodSpec>): Pod =>
      pods.run({ command: ['sh', '-c', script], volumeDevices }, spec);
    const firstBytes = (count: number) => {
      const file = openSync(device, 'r');
      const bytes = Buffer.alloc(count);
      readSync(file, bytes, 0, count, 0);
      closeSync(file);
      return bytes.toString();
    };

    test.each(['local', 'hostPath'])(
      'of a %s volume is written and read where the container wants it',
      async (source) => {
        claim(source, { [source]: { path: device } });
        const word = source.padEnd(8, '.');
        const script = `test -b /dev/xvda && printf ${word} | dd of=/dev/xvda conv=notrunc,fsync 2>/dev/null; dd if=/dev/xvda bs=8 count=1 2>/dev/null`;
        const pod = run(script, of(source));
        await pods.ended(pod);
        expect(await pods.log(pod)).toBe(word);
        expect(firstBytes(8)).toBe(word);
      },
    );

    test('that is to be read only is, also for root', async () => {
      claim('fixed', { local: { path: device } });
      const before = firstBytes(8);
      const pod = run(
        'dd if=/dev/xvda of=/dev/null bs=8 count=1 2>/dev/null && echo read; echo x > /dev/xvda',
        of('fixed', true),
      );
      await pods.ended(pod, 'Failed');
      const said = await pods.log(pod);
      for (const words of ['read\n', 'Operation not permitted']) expect(said).toContain(words);
      expect(firstBytes(8)).toBe(before);
    });

    test('and a file system are never taken for each other: an event says which is which', async () => {
      claim('raw', { local: { path: device } });
      pods.run({ volumeMounts: [{ name: 'disk', mountPath: '/disk' }] }, of('raw'));
      await pods.told(/FailedMount .*"disk" has the mode Block, but container "c" has it in volumeMounts/);
      claim('files', { local: { path: directory } }, 'Filesystem');
      run('true', of('files'));
      await pods.told(/FailedMount .*"disk" has the mode Filesystem, but container "c" has it in volumeDevices/);
      claim('wrong', { local: { path: directory } });
      run('true', of('wrong'));
      await pods.told(/FailedMount .*is no block device/);
    });
  });
}

const isRoot = process.getuid?.() === 0;
(containerdIsHere && isRoot ? describe : describe.skip)('with containerd', () =>
  describeDevices('containerd', () => kubeletOnContainerd(26, 'block')),
);
(dockerIsHere && isRoot ? describe : describe.skip)('with Docker', () =>
  describeDevices('Docker', () => kubeletOnDocker(26, 'block')),
);
