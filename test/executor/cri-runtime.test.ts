import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import type { Pod, PodSpec } from '../../api/kinds/pod.ts';
import { timestamp } from '../../api/meta.ts';
import { join } from 'node:path';
import { podCgroup } from '../../executor/pod-cgroups.ts';
import { CriRuntime } from '../../executor/runtimes/cri.ts';
import { silent } from '../../lib/log.ts';
import { busyboxImage, type Containerd, containerdIsHere, startContainerd } from './containerd.ts';
import { aPod, collect, containerFor, eventually, exited, sandboxFor } from './pods-for-tests.ts';
import { type TestKubelet, testKubelet } from './kubelet-for-tests.ts';
import { describeRuntime } from './runtime.suite.ts';

const describeHere = containerdIsHere && process.getuid?.() === 0 ? describe : describe.skip;

async function removeAll(runtime: CriRuntime): Promise<void> {
  await Promise.all((await runtime.pods()).map((pod) => runtime.removeSandbox(pod.sandbox.id)));
  await runtime.close();
}

describeHere('with containerd', () => {
  let containerd: Containerd;
  const open = (owner: string) =>
    CriRuntime.open({ socket: `unix://${containerd.socket}`, owner, nodeIp: '127.0.0.1', log: silent });
  beforeAll(async () => {
    containerd = await startContainerd(1);
  }, 60_000);
  afterAll(() => containerd?.stop(), 60_000);

  describeRuntime('CRI', async () => {
    const runtime = await open('suite');
    const others: CriRuntime[] = [];
    return {
      runtime,
      reopen: async () => {
        others.push(await open('suite'));
        return others.at(-1)!;
      },
      outlives: true,
      close: async () => {
        await Promise.all(others.map((other) => other.close()));
        await removeAll(runtime);
      },
    };
  });

  describe('the CRI runtime alone', () => {
    let runtime: CriRuntime;
    beforeAll(async () => {
      runtime = await open('alone');
    });
    afterAll(() => removeAll(runtime), 60_000);
    const logs = () => join(containerd.directory, 'logs');

    test('names itself after the runtime', async () => {
      expect(runtime.name).toBe('containerd');
      expect((await runtime.version()).containerRuntimeVersion).toMatch(/^containerd:\/\/\d/);
    });

    test('gives pods an address of the CNI network, and on the host network the node’s', async () => {
      const pod = aPod();
      const own = await runtime.createSandbox(sandboxFor(pod, logs()));
      expect(own.ip).toMatch(/^10\.89\.1\.\d+$/);
      const host = await runtime.createSandbox(sandboxFor(aPod({}, { hostNetwork: true }, 'h'), logs()));
      expect(host.ip).toBe('127.0.0.1');
      expect((await runtime.pods()).map((p) => p.sandbox.ip).sort()).toEqual([own.ip, '127.0.0.1'].sort());
    });

    test('puts a pod below the cgroup it is told, with its limits', async () => {
      const pod = aPod({ command: ['sh', '-c', 'head -c 100000000 /dev/zero | tail'] });
      const sandbox = { ...sandboxFor(pod, logs()), cgroupParent: `${containerd.cgroup}/pod${pod.metadata.uid!}` };
      const { id: sandboxId } = await runtime.createSandbox(sandbox);
      const image = await runtime.pullImage(busyboxImage, 'IfNotPresent');
      const resources = { cpuShares: 204, cpuQuotaMillicores: 500, memoryLimitBytes: 16 << 20, oomScoreAdj: 1000 };
      await runtime.start(containerFor(pod, sandboxId, sandbox, { imageId: image.id, resources }));
      expect(existsSync(`/sys/fs/cgroup/memory${sandbox.cgroupParent}`)).toBe(true);
      expect(await exited(runtime, pod.metadata.uid!)).toMatchObject({ exitCode: 137, reason: 'OOMKilled' });
    });

    test('tells the reasons of images that cannot be had', async () => {
      await expect(runtime.pullImage('k8s.test/no-such:1', 'Never')).rejects.toMatchObject({
        reason: 'ErrImageNeverPull',
      });
      await expect(runtime.pullImage('127.0.0.1:1/no-such:1', 'IfNotPresent')).rejects.toMatchObject({
        reason: 'ErrImagePull',
      });
      await expect(runtime.pullImage('a b', 'Always')).rejects.toMatchObject({ reason: 'InvalidImageName' });
      expect(await runtime.pullImage(busyboxImage, 'IfNotPresent')).toMatchObject({ pulled: false });
    });

    test('knows its images: which are used, and which it may not do without', async () => {
      const found = (name: string) =>
        runtime.images().then((images) => images.find(({ names }) => names.some((n) => n.includes(name))));
      const pod = aPod({ command: ['sleep', '100'] }, {}, 'imaged');
      const sandbox = sandboxFor(pod, logs());
      const { id: sandboxId } = await runtime.createSandbox(sandbox);
      const image = await runtime.pullImage(busyboxImage, 'IfNotPresent');
      await runtime.start(containerFor(pod, sandboxId, sandbox, { imageId: image.id }));
      expect(await found('k8s.test/busybox:1')).toMatchObject({ id: image.id, pinned: false, inUse: true });
      const pause = (await found('k8s.test/pause:1'))!;
      expect(pause).toMatchObject({ pinned: true });
      expect(pause.bytes).toBeGreaterThan(100_000);
      expect(existsSync((await runtime.imageDirectory())!)).toBe(true);
      await runtime.removeImage('sha256:none');
    });

    test('gives a running container new limits', async () => {
      const pod = aPod({ command: ['sleep', '100'] }, {}, 'resized');
      const sandbox = sandboxFor(pod, logs());
      const { id: sandboxId } = await runtime.createSandbox(sandbox);
      const image = await runtime.pullImage(busyboxImage, 'IfNotPresent');
      const { id } = await runtime.start(containerFor(pod, sandboxId, sandbox, { imageId: image.id }));
      const limits = { cpuShares: 512, cpuQuotaMillicores: 250, memoryLimitBytes: 32 << 20, oomScoreAdj: 1000 };
      expect(await runtime.resize(id, limits)).toBe(true);
      const cgroup = await eventually(
        () => collect((r) => runtime.exec(id, { command: ['cat', '/proc/self/cgroup'], ...r })),
        'exec',
      );
      const path = /^\d+:memory:(.*)$/m.exec(cgroup.stdout.toString())![1]!;
      expect(readFileSync(`/sys/fs/cgroup/memory${path}/memory.limit_in_bytes`, 'utf8').trim()).toBe(String(32 << 20));
    });

    test('never sees pods of another owner', async () => {
      const other = await open('neighbour');
      try {
        const pod = aPod({}, {}, 'theirs');
        await other.createSandbox(sandboxFor(pod, logs()));
        expect((await runtime.pods()).some((p) => p.uid === pod.metadata.uid)).toBe(false);
      } finally {
        await removeAll(other);
      }
    });

    test('sets a log aside that grows too long', async () => {
      const small = await CriRuntime.open({
        socket: `unix://${containerd.socket}`,
        owner: 'chatty',
        nodeIp: '127.0.0.1',
        maxLogBytes: 20_000,
        logCheck: 50,
        log: silent,
      });
      try {
        const pod = aPod({
          command: ['sh', '-c', 'while :; do head -c 3000 /dev/zero | tr "\\0" x; echo; sleep 0.02; done'],
        });
        const sandbox = sandboxFor(pod, logs());
        const { id: sandboxId } = await small.createSandbox(sandbox);
        const image = await small.pullImage(busyboxImage, 'IfNotPresent');
        await small.start(containerFor(pod, sandboxId, sandbox, { imageId: image.id }));
        const names = () => readdirSync(join(sandbox.logDirectory, 'c')).filter((name) => name.startsWith('0.log.'));
        await eventually(() => names().length >= 2, 'two logs set aside');
        // Between setting one aside and opening the next there is a moment without.
        await eventually(
          () => readdirSync(join(sandbox.logDirectory, 'c')).includes('0.log'),
          'a log that is written to',
        );
        expect(names().length).toBeLessThanOrEqual(4);
      } finally {
        await removeAll(small);
      }
    });

    test('runs as the user it is told', async () => {
      const pod = aPod(
        { command: ['sleep', '100'], securityContext: { runAsUser: 65534, runAsGroup: 65534 } },
        {},
        'user',
      );
      const sandbox = sandboxFor(pod, logs());
      const { id: sandboxId } = await runtime.createSandbox(sandbox);
      const image = await runtime.pullImage(busyboxImage, 'IfNotPresent');
      const { id } = await runtime.start(containerFor(pod, sandboxId, sandbox, { imageId: image.id }));
      const who = await eventually(() => collect((r) => runtime.exec(id, { command: ['id', '-u'], ...r })), 'exec');
      expect(who.stdout.toString()).toBe('65534\n');
    });
  });

  describe('the kubelet logic over containerd', () => {
    let kubelet: TestKubelet;
    let directory: string;
    beforeAll(async () => {
      directory = mkdtempSync('/dev/shm/km-kubelet-');
      kubelet = testKubelet({ runtime: await open('kubelet'), cgroupParent: containerd.cgroup, directory });
    });
    afterAll(async () => {
      await kubelet.close();
      await removeAll(await open('kubelet'));
      rmSync(directory, { recursive: true, force: true });
    }, 60_000);

    const run = (name: string, container: object, spec: Partial<PodSpec> = {}): Pod => {
      const pod = aPod(container, spec, name);
      kubelet.pods.bound(pod);
      kubelet.pods.admit(pod.metadata.uid!);
      return pod;
    };
    type Status = NonNullable<ReturnType<TestKubelet['status']>>;
    const until = (pod: Pod, what: string, is: (status: Status) => unknown) =>
      eventually(
        () => {
          const status = kubelet.status(pod);
          return status && is(status) ? status : undefined;
        },
        what,
        20_000,
      );

    test('another executor adopts what runs: nothing is restarted, and the status goes on', async () => {
      const script = 'if [ -e /km/once ]; then sleep 300; fi; touch /km/once; exit 1';
      const pod = run(
        'adopted',
        { command: ['sh', '-c', script], image: busyboxImage, volumeMounts: [{ name: 'v', mountPath: '/km' }] },
        { volumes: [{ name: 'v', emptyDir: {} }] },
      );
      const running = (s: Status) =>
        s.containerStatuses![0]!.restartCount === 1 && s.phase === 'Running' && s.containerStatuses![0]!.ready;
      const before = await until(pod, 'the second try to run', running);
      await kubelet.close();
      kubelet = testKubelet({ runtime: await open('kubelet'), cgroupParent: containerd.cgroup, directory });
      const known = { ...pod, status: before };
      kubelet.pods.bound(known);
      await kubelet.pods.sweep();
      kubelet.pods.admit(pod.metadata.uid!);
      const after = await until(pod, 'the status of the next executor', running);
      expect(after.containerStatuses).toEqual(before.containerStatuses);
      expect(after.startTime).toBe(before.startTime);
      expect(kubelet.apiserver.events.filter((e) => e.includes('Started'))).toEqual([]);

      kubelet.pods.bound({
        ...known,
        metadata: { ...pod.metadata, deletionTimestamp: timestamp(Date.now() + 1000), deletionGracePeriodSeconds: 1 },
      });
      await eventually(() => kubelet.apiserver.removed.includes(pod.metadata.uid!), 'the removal', 20_000);
      expect((await kubelet.runtime.pods()).some((p) => p.uid === pod.metadata.uid)).toBe(false);
      expect(existsSync(`/sys/fs/cgroup/memory${podCgroup(pod, containerd.cgroup)}`)).toBe(false);
    });

    test('a sandbox that is lost is made again, and its containers with it', async () => {
      const pod = run('phoenix', { command: ['sleep', '300'], image: busyboxImage });
      const first = await until(pod, 'Running', (s) => s.phase === 'Running' && s.podIP);
      const { sandbox } = (await kubelet.runtime.pods()).find((p) => p.uid === pod.metadata.uid)!;
      await kubelet.runtime.stopSandbox(sandbox.id);
      // A container may be tried once more in the sandbox that is going; then it comes up in the next.
      const again = await until(pod, 'the next sandbox', (s) => {
        const [c] = s.containerStatuses!;
        return c!.restartCount >= 1 && c!.ready && s.podIP !== first.podIP;
      });
      expect(again.phase).toBe('Running');
    });

    test('an image that cannot be had is told of, and waits with ImagePullBackOff', async () => {
      const pod = run('imageless', { image: '127.0.0.1:1/no-such:1' });
      // The first reason lasts only until the wait begins: it may be over before it is written, but it is always told.
      await until(pod, 'the wait', (s) => s.containerStatuses![0]!.state.waiting?.reason === 'ImagePullBackOff');
      expect(kubelet.apiserver.events.join('\n')).toMatch(/Warning Failed .*127\.0\.0\.1:1\/no-such:1/);
      expect(kubelet.status(pod)!.phase).toBe('Pending');
    });

    test('a pod that has ended gives its address back and keeps its log', async () => {
      const pod = run('job', { command: ['echo', 'done'], image: busyboxImage }, { restartPolicy: 'Never' });
      await until(pod, 'Succeeded', (s) => s.phase === 'Succeeded');
      await eventually(async () => {
        const found = (await kubelet.runtime.pods()).find((p) => p.uid === pod.metadata.uid);
        return found?.sandbox.ready === false;
      }, 'the sandbox to stop');
      const container = await kubelet.pods.container(pod.metadata.uid!, 'c');
      expect(readFileSync(container!.logPath, 'utf8')).toContain('stdout F done');
    });
  });
});
