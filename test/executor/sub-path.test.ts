import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Pod } from '../../api/kinds/pod.ts';
import { mountsAt, unmount } from '../../executor/volumes/mounts.ts';
import { subPathMount } from '../../executor/volumes/sub-path.ts';
import { busyboxImage, containerdIsHere } from './containerd.ts';
import { kubeletOnContainerd, type KubeletOn } from './kubelet-on.ts';
import { expectNothingLeft } from './leftovers.ts';
import { aPod, eventually } from './pods-for-tests.ts';

const isRoot = process.getuid?.() === 0;
const describeAsRoot = isRoot ? describe : describe.skip;

describeAsRoot('a subPath', () => {
  const directory = mkdtempSync('/dev/shm/km-sub-path-');
  const volume = join(directory, 'volume');
  const outside = join(directory, 'outside');
  const place = join(directory, 'place');
  beforeAll(() => {
    for (const path of [join(volume, 'real/deep'), outside]) mkdirSync(path, { recursive: true });
    writeFileSync(join(volume, 'real/who'), 'inside');
    writeFileSync(join(outside, 'who'), 'outside');
    symlinkSync('real', join(volume, 'near'));
    symlinkSync(join(volume, 'real'), join(volume, 'full'));
    symlinkSync('real/../near', join(volume, 'round'));
    symlinkSync('loop', join(volume, 'loop'));
    symlinkSync(outside, join(volume, 'far'));
    symlinkSync('../outside', join(volume, 'up'));
    symlinkSync('/proc/self/root', join(volume, 'root'));
  });
  afterAll(async () => {
    await unmount(place);
    rmSync(directory, { recursive: true, force: true });
  });

  test.each(['real', 'near', 'full', 'round', './real/'])('leads to what is in the volume: %s', async (path) => {
    expect(await subPathMount(volume, path, place)).toBe(place);
    expect(readFileSync(join(place, 'who'), 'utf8')).toBe('inside');
    expect(await mountsAt(place)).toEqual([place]);
  });

  test('may be a file, or what is not there yet', async () => {
    await subPathMount(volume, 'near/who', place);
    expect(readFileSync(place, 'utf8')).toBe('inside');
    await subPathMount(volume, 'near/new/one', place);
    expect(existsSync(join(volume, 'real/new/one'))).toBe(true);
    expect(readdirSync(place)).toEqual([]);
  });

  test.each(['far', 'up', 'far/who', 'root/etc', '../outside', '/etc', 'real/../../outside'])(
    'never leaves it: %s',
    async (path) => {
      await expect(subPathMount(volume, path, place)).rejects.toThrow('would leave the volume');
    },
  );

  test('that cannot be followed says why', async () => {
    await expect(subPathMount(volume, 'loop', place)).rejects.toThrow('too many links');
    await expect(subPathMount(volume, 'real/who/x', place)).rejects.toThrow('ENOTDIR');
  });

  test('stays inside though a link takes its place again and again', async () => {
    const script = `
      const { renameSync, rmdirSync, symlinkSync } = require('node:fs');
      process.chdir(process.argv[1]);
      symlinkSync(process.argv[2], 'link');
      for (;;) {
        try {
          renameSync('real', 'swapped'); renameSync('swapped', 'real');
          renameSync('link', 'swapped'); renameSync('swapped', 'link');
        } catch { rmdirSync('swapped'); } // somebody made a directory of that name in a moment when there was none
      }`;
    const swapper = spawn(process.execPath, ['-e', script, volume, outside], { stdio: 'ignore' });
    try {
      await eventually(() => existsSync(join(volume, 'swapped')), 'the swapping to begin');
      const seen = { inside: 0, empty: 0, refused: 0 };
      for (let i = 0; i < 200; i++) {
        try {
          const path = await subPathMount(volume, 'swapped', place);
          const who = existsSync(join(path, 'who')) ? readFileSync(join(path, 'who'), 'utf8') : 'empty';
          seen[who as 'inside' | 'empty'] += 1;
        } catch (error) {
          expect((error as Error).message).toMatch(/would leave the volume|cannot be followed|mount failed/);
          seen.refused += 1;
        }
      }
      expect(Math.min(seen.inside, seen.refused)).toBeGreaterThan(0);
    } finally {
      swapper.kill('SIGKILL');
      await once(swapper, 'exit');
    }
  });
});

const describeHere = containerdIsHere && isRoot ? describe : describe.skip;

describeHere('hostile pods on containerd', () => {
  let containerd: KubeletOn['place'];
  let kubelet: KubeletOn['kubelet'];
  let directory: KubeletOn['directory'];
  let stop: () => Promise<void>;
  beforeAll(
    async () => void ({ place: containerd, kubelet, directory, stop } = await kubeletOnContainerd(16, 'hostile')),
    60_000,
  );
  afterAll(() => stop(), 60_000);

  const run = (name: string, script: string, subPath?: string): Pod => {
    const volumeMounts = [{ name: 'v', mountPath: '/v', ...(subPath ? { subPath } : {}) }];
    const container = { image: busyboxImage, command: ['sh', '-c', script], volumeMounts };
    const volumes = [{ name: 'v', hostPath: { path: join(directory, 'shared') } }];
    const pod = aPod(container, { volumes, restartPolicy: 'OnFailure', terminationGracePeriodSeconds: 0 }, name);
    kubelet.pods.bound(pod);
    kubelet.pods.admit(pod.metadata.uid!);
    return pod;
  };

  test('swap a link into the place of a subPath, and still get at nothing of the machine', async () => {
    mkdirSync(join(directory, 'shared/real'), { recursive: true });
    mkdirSync(join(directory, 'machine'));
    writeFileSync(join(directory, 'machine/secret'), 'secret of the machine');
    const swapper = run(
      'swapper',
      `ln -s ${directory}/machine /v/link; cd /v
       while :; do mv real sub; mv sub real; mv link sub; mv sub link; rm -rf sub; done`,
    );
    await eventually(() => kubelet.status(swapper)?.phase === 'Running', 'the swapper', 20_000);
    const readers = Array.from({ length: 12 }, (_, i) => run(`reader-${i}`, 'ls /v; touch /v/was-here', 'sub'));
    const said = (pod: Pod) => {
      const path = join(directory, 'logs', `default_${pod.metadata.name!}_${pod.metadata.uid!}/c/0.log`);
      return existsSync(path) ? readFileSync(path, 'utf8') : '';
    };
    await eventually(
      () => readers.every((pod) => kubelet.status(pod)?.phase === 'Succeeded'),
      'every reader to get a part of the volume',
      40_000,
    );
    for (const pod of readers) expect(said(pod)).not.toContain('secret');
    expect(readdirSync(join(directory, 'machine'))).toEqual(['secret']);
    for (const pod of [swapper, ...readers]) kubelet.pods.end(pod.metadata.uid!, { graceSeconds: 0, remove: true });
    await eventually(() => kubelet.pods.list().length === 0, 'their end', 20_000);
    await expectNothingLeft(containerd, [directory]);
    expect(readdirSync(join(directory, 'volumes'))).toEqual([]);
    expect(existsSync(join(directory, 'shared'))).toBe(true);
  }, 60_000);
});
