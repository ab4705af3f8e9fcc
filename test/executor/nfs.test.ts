import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Volume } from '../../api/kinds/pod.ts';
import { mountsAt } from '../../executor/volumes/mounts.ts';
import { busyboxImage, containerdIsHere } from './containerd.ts';
import { type KubeletOn, kubeletOnContainerd } from './kubelet-on.ts';
import { aPod, eventually } from './pods-for-tests.ts';

/** An NFS server of this machine, whose exports may be added to. */
const serves = () => existsSync('/proc/fs/nfsd/threads') && Number(readFileSync('/proc/fs/nfsd/threads', 'utf8')) > 0;
const nfsIsHere = existsSync('/sbin/mount.nfs') && existsSync('/usr/sbin/exportfs') && serves();

const describeHere = nfsIsHere && containerdIsHere && process.getuid?.() === 0 ? describe : describe.skip;

describeHere('on containerd, a directory of an NFS server', () => {
  const directory = mkdtempSync('/var/tmp/km-nfs-');
  const server = '127.0.0.1';
  let on: KubeletOn;
  beforeAll(async () => {
    chmodSync(directory, 0o777);
    execFileSync('exportfs', ['-o', 'rw,no_root_squash,insecure,fsid=4711', `${server}:${directory}`]);
    on = await kubeletOnContainerd(28, 'nfs');
  }, 60_000);
  afterAll(async () => {
    await on?.stop();
    execFileSync('exportfs', ['-u', `${server}:${directory}`]);
    rmSync(directory, { recursive: true });
  }, 60_000);

  const volumes: [string, string, Volume[]][] = [
    ['as a volume of the pod', 'own', [{ name: 'v', nfs: { server, path: directory } }]],
    ['as a PersistentVolume', 'claimed', [{ name: 'v', persistentVolumeClaim: { claimName: 'c' } }]],
  ];
  test.each(volumes)('is read and written by a pod %s, and unmounted when it ends', async (_, name, all) => {
    const { kubelet } = on;
    kubelet.apiserver.volumes.set('pv', {
      metadata: { name: 'pv' },
      spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteMany'], nfs: { server, path: directory } },
    });
    kubelet.apiserver.claims.set('default/c', {
      metadata: { name: 'c', namespace: 'default' },
      spec: { accessModes: ['ReadWriteMany'], volumeName: 'pv' },
      status: { phase: 'Bound' },
    });
    writeFileSync(join(directory, 'asked'), name);
    const script = 'grep " /v " /proc/mounts; cat /v/asked && cp /v/asked "/v/$(cat /v/asked)"; sleep 300';
    const mounted = [{ name: 'v', mountPath: '/v' }];
    const pod = aPod(
      { command: ['sh', '-c', script], image: busyboxImage, volumeMounts: mounted },
      { terminationGracePeriodSeconds: 0, volumes: all },
      name,
    );
    const uid = pod.metadata.uid ?? '';
    kubelet.pods.bound(pod);
    kubelet.pods.admit(uid);
    await eventually(() => existsSync(join(directory, name)), 'the pod to write', 30_000);
    expect(readFileSync(join(directory, name), 'utf8')).toBe(name);
    const log = readFileSync((await kubelet.pods.container(uid, 'c'))?.logPath ?? '', 'utf8');
    expect(log).toMatch(new RegExp(`${server}:${directory} /v nfs4 rw`));
    kubelet.pods.end(uid, { graceSeconds: 0, remove: true });
    await eventually(() => !kubelet.pods.has(uid), 'the pod to end', 30_000);
    expect(await mountsAt(on.directory)).toEqual([]);
  });
});
