import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Container, Pod, PodSpec } from '../../api/kinds/pod.ts';
import { CriRuntime } from '../../executor/runtimes/cri.ts';
import { unmount } from '../../executor/volumes/mounts.ts';
import { silent } from '../../lib/log.ts';
import { busyboxImage, type Containerd, containerdIsHere, startContainerd } from './containerd.ts';
import { type TestKubelet, testKubelet } from './kubelet-for-tests.ts';
import { expectNothingLeft, leftovers } from './leftovers.ts';
import { aPod, eventually } from './pods-for-tests.ts';
import { startRegistry } from './registry.ts';

const describeHere = containerdIsHere && process.getuid?.() === 0 ? describe : describe.skip;

describeHere('when something fails under a pod on containerd', () => {
  let containerd: Containerd;
  let kubelet: TestKubelet;
  let directory: string;
  beforeAll(async () => {
    containerd = await startContainerd(18, 96);
    directory = mkdtempSync('/dev/shm/km-faults-');
    mkdirSync(join(directory, 'disk'));
    // A disk of its own, so that it can be full.
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'km', join(directory, 'disk')]);
    const socket = `unix://${containerd.socket}`;
    const runtime = await CriRuntime.open({ socket, owner: 'faults', nodeIp: '127.0.0.1', log: silent });
    kubelet = testKubelet({ runtime, cgroupParent: containerd.cgroup, directory: join(directory, 'disk') });
  }, 60_000);
  afterAll(async () => {
    await kubelet?.close();
    await unmount(directory);
    await containerd?.stop();
    rmSync(directory, { recursive: true, force: true });
  }, 60_000);
  /** After every test: no sandbox, mount, address, link, cgroup or process, whatever failed. */
  afterEach(async () => {
    for (const { metadata } of kubelet.pods.list()) kubelet.pods.end(metadata.uid!, { graceSeconds: 0, remove: true });
    await eventually(() => kubelet.pods.list().length === 0, 'every pod to end', 20_000);
    await expectNothingLeft(containerd, [join(directory, 'disk/volumes')]);
  }, 60_000);

  const run = (name: string, container: Partial<Container> = {}, spec: Partial<PodSpec> = {}): Pod => {
    const main = { image: busyboxImage, command: ['sleep', '1000'], ...container };
    const pod = aPod(main, { terminationGracePeriodSeconds: 0, ...spec }, name);
    kubelet.pods.bound(pod);
    kubelet.pods.admit(pod.metadata.uid!);
    return pod;
  };
  const running = (pod: Pod) =>
    eventually(
      () => kubelet.status(pod)?.containerStatuses?.every((c) => c.ready),
      `${pod.metadata.name} to run`,
      20_000,
    );
  const event = (words: RegExp) =>
    eventually(() => kubelet.apiserver.events.find((e) => words.test(e)), `the event ${words}`, 20_000);

  test('what a pod has here is listed, so that its absence means something', async () => {
    await running(run('plain', {}, { volumes: [{ name: 'm', emptyDir: { medium: 'Memory' } }] }));
    const found = await leftovers(containerd, [join(directory, 'disk/volumes')]);
    expect(found.containers).toHaveLength(2);
    expect(found.addresses).toHaveLength(1);
    expect(found.links).toHaveLength(1);
    expect(found.mounts.some((path) => path.includes('/netns/'))).toBe(true);
    expect(found.mounts.some((path) => path.endsWith('emptyDir/m'))).toBe(true);
    expect(found.cgroups.some((path) => path.includes('/besteffort/pod'))).toBe(true);
    // The shim, the sandbox’s shell with its sleep, and the container’s.
    expect(new Set(found.processes).size).toBe(4);
  });

  test('the network: the sandbox is refused in words, and made when the network is back', async () => {
    const file = join(containerd.directory, 'net.d/10-km.conflist');
    const network = readFileSync(file, 'utf8');
    const broken = JSON.parse(network) as { plugins: object[] };
    broken.plugins.push({ type: 'no-such-plugin' });
    writeFileSync(file, JSON.stringify(broken));
    try {
      // containerd takes the new configuration up a moment later.
      const pods: Pod[] = [];
      const said = /FailedCreatePodSandBox .*no-such-plugin/;
      await eventually(
        () => {
          if (pods.length < 40) pods.push(run(`netless-${pods.length}`));
          return new Promise<boolean>((resolve) =>
            setTimeout(() => resolve(kubelet.apiserver.events.some((e) => said.test(e))), 200),
          );
        },
        'the refusal',
        20_000,
      );
      const pod = run('netless');
      await eventually(() => kubelet.status(pod), 'a status');
      expect(kubelet.status(pod)).toMatchObject({ phase: 'Pending' });
      expect(kubelet.status(pod)!.containerStatuses![0]!.state.waiting?.reason).toBe('ContainerCreating');
      writeFileSync(file, network);
      await running(pod);
    } finally {
      writeFileSync(file, network);
    }
  }, 60_000);

  test('the registry: its refusal is told, waited out, and forgotten when it serves again', async () => {
    const registry = await startRegistry(join(containerd.directory, 'busybox.tar'), 'me:secret');
    try {
      registry.refuse(503);
      const login = { auths: { [registry.host]: { username: 'me', password: 'secret' } } };
      kubelet.apiserver.secrets.set('default/login', {
        metadata: {},
        type: 'kubernetes.io/dockerconfigjson',
        data: { '.dockerconfigjson': Buffer.from(JSON.stringify(login)).toString('base64') },
      });
      const image = `${registry.host}/busybox:1`;
      const pod = run('unserved', { image }, { imagePullSecrets: [{ name: 'login' }] });
      const waiting = () => kubelet.status(pod)?.containerStatuses?.[0]?.state.waiting;
      await eventually(() => waiting()?.reason === 'ImagePullBackOff', 'the wait', 20_000);
      expect(waiting()!.message).toContain('503');
      await event(/Failed Failed to pull image .*503/);
      expect(kubelet.status(pod)!.phase).toBe('Pending');
      registry.refuse(undefined);
      await running(pod);
    } finally {
      registry.close();
    }
  }, 60_000);

  test('the disk: a volume that does not fit is told of, others go on, and there is room again', async () => {
    const steady = run('steady');
    await running(steady);
    const filler = join(directory, 'disk/filler');
    writeFileSync(filler, '');
    execFileSync('sh', ['-c', `head -c 100m /dev/zero > ${filler} 2>/dev/null || true`]);
    kubelet.apiserver.configMaps.set('default/large', { metadata: {}, data: { text: 'x'.repeat(500_000) } });
    const pod = run('full', {}, { volumes: [{ name: 'v', configMap: { name: 'large' } }] });
    await event(/FailedMount MountVolume.SetUp failed for volume "v" : ENOSPC: no space left on device/);
    expect(kubelet.status(pod)!.phase).toBe('Pending');
    expect(kubelet.status(steady)!.phase).toBe('Running');
    rmSync(filler);
    await running(pod);
    const { containerStatuses } = kubelet.status(steady)!;
    expect(containerStatuses![0]!.restartCount).toBe(0);
  }, 60_000);

  test('the disk of the runtime itself: pods wait and say why, others go on, and there is room again', async () => {
    const steady = run('steady');
    await running(steady);
    const filler = join(containerd.storage!, 'filler');
    execFileSync('sh', ['-c', `head -c 200m /dev/zero > ${filler} 2>/dev/null || true`]);
    const pod = run('unstored');
    try {
      await event(/Warning .*no space left on device/);
      await eventually(() => kubelet.status(pod)?.phase === 'Pending', 'the pod to be told of as pending');
      expect(kubelet.status(steady)?.phase).toBe('Running');
    } finally {
      rmSync(filler);
    }
    await running(pod);
    expect(kubelet.status(steady)!.containerStatuses![0]!.restartCount).toBe(0);
  }, 60_000);

  test('its memory: the container is started again, and its status says why', async () => {
    const pod = run('hungry', {
      command: ['sh', '-c', 'sleep 0.2; tail /dev/zero'],
      resources: { limits: { memory: '16Mi' } },
    });
    const first = () => kubelet.status(pod)?.containerStatuses?.[0];
    await eventually(() => (first()?.restartCount ?? 0) >= 1, 'a restart', 20_000);
    expect(first()!.lastState!.terminated).toMatchObject({ reason: 'OOMKilled', exitCode: 137 });
  }, 30_000);
});
