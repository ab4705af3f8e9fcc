import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { CriRuntime } from '../../executor/runtimes/cri.ts';
import { cgroupAt } from '../../executor/runtimes/cgroups.ts';
import { silent } from '../../lib/log.ts';
import { containerCgroupOf, kernelLimits } from './cgroups-for-tests.ts';
import { busyboxImage, type Containerd, containerdIsHere, startContainerd } from './containerd.ts';
import { aPod, collect, containerFor, eventually, exited, sandboxFor } from './pods-for-tests.ts';
import { describeKubeletOver } from './kubelet-over.suite.ts';
import { describeRuntime } from './runtime.suite.ts';

/** Of what CRI was told. */
interface Kept {
  linux: { security_context: { selinux_options?: object } };
  mounts?: { container_path: string; selinux_relabel?: boolean }[];
}

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
      const image = await runtime.images.pull(busyboxImage, 'IfNotPresent');
      const resources = { cpuShares: 204, cpuQuotaMillicores: 500, memoryLimitBytes: 16 << 20, oomScoreAdj: 1000 };
      await runtime.start(containerFor(pod, sandboxId, sandbox, { imageId: image.id, resources }));
      expect(existsSync(cgroupAt(sandbox.cgroupParent))).toBe(true);
      expect(await exited(runtime, pod.metadata.uid!)).toMatchObject({ exitCode: 137, reason: 'OOMKilled' });
    });

    test('tells the reasons of images that cannot be had', async () => {
      await expect(runtime.images.pull('k8s.test/no-such:1', 'Never')).rejects.toMatchObject({
        reason: 'ErrImageNeverPull',
      });
      await expect(runtime.images.pull('127.0.0.1:1/no-such:1', 'IfNotPresent')).rejects.toMatchObject({
        reason: 'ErrImagePull',
      });
      await expect(runtime.images.pull('a b', 'Always')).rejects.toMatchObject({ reason: 'InvalidImageName' });
      expect(await runtime.images.pull(busyboxImage, 'IfNotPresent')).toMatchObject({ pulled: false });
    });

    test('knows its images: which are used, and which it may not do without', async () => {
      const found = (name: string) =>
        runtime.images.list().then((images) => images.find(({ names }) => names.some((n) => n.includes(name))));
      const pod = aPod({ command: ['sleep', '100'] }, {}, 'imaged');
      const sandbox = sandboxFor(pod, logs());
      const { id: sandboxId } = await runtime.createSandbox(sandbox);
      const image = await runtime.images.pull(busyboxImage, 'IfNotPresent');
      await runtime.start(containerFor(pod, sandboxId, sandbox, { imageId: image.id }));
      expect(await found('k8s.test/busybox:1')).toMatchObject({ id: image.id, pinned: false, inUse: true });
      const pause = (await found('k8s.test/pause:1'))!;
      expect(pause).toMatchObject({ pinned: true });
      expect(pause.bytes).toBeGreaterThan(100_000);
      expect(existsSync((await runtime.images.directory())!)).toBe(true);
      await runtime.images.remove('sha256:none');
    });

    test('is told the SELinux label of a pod and of a container, and which mounts get it', async () => {
      const pod = aPod(
        { command: ['sleep', '100'], securityContext: { seLinuxOptions: { level: 's0:c1,c2', type: 'spc_t' } } },
        { securityContext: { seLinuxOptions: { level: 's0:c3' } } },
        'labelled',
      );
      const sandbox = sandboxFor(pod, logs());
      const { id: sandboxId } = await runtime.createSandbox(sandbox);
      const image = await runtime.images.pull(busyboxImage, 'IfNotPresent');
      const mount = (containerPath: string) => ({ hostPath: logs(), containerPath, readOnly: false });
      const mounts = [{ ...mount('/own'), isOwn: true }, mount('/others')];
      const { id } = await runtime.start(containerFor(pod, sandboxId, sandbox, { imageId: image.id, mounts }));
      // There is no SELinux here: what containerd keeps of it is what it was told.
      const kept = (of: string, what: string): Kept => {
        const words = ['-a', containerd.socket, '-n', 'k8s.io', 'containers', 'info', of];
        const { Extensions } = JSON.parse(execFileSync('ctr', words, { encoding: 'utf8' })) as {
          Extensions: Record<string, { value: string }>;
        };
        const { value } = Extensions[`io.cri-containerd.${what}.metadata`]!;
        return (JSON.parse(Buffer.from(value, 'base64').toString()) as { Metadata: { Config: Kept } }).Metadata.Config;
      };
      expect(kept(sandboxId, 'sandbox').linux.security_context.selinux_options).toEqual({ level: 's0:c3' });
      const config = kept(id, 'container');
      const own = { level: 's0:c1,c2', type: 'spc_t' };
      expect(config.linux.security_context.selinux_options).toEqual(own);
      expect(config.mounts!.map((one) => [one.container_path, one.selinux_relabel ?? false])).toEqual([
        ['/own', true],
        ['/others', false],
      ]);
    });

    test('gives a running container new limits', async () => {
      const pod = aPod({ command: ['sleep', '100'] }, {}, 'resized');
      const sandbox = sandboxFor(pod, logs());
      const { id: sandboxId } = await runtime.createSandbox({ ...sandbox, cgroupParent: containerd.cgroup });
      const image = await runtime.images.pull(busyboxImage, 'IfNotPresent');
      const { id } = await runtime.start(
        containerFor(pod, sandboxId, { ...sandbox, cgroupParent: containerd.cgroup }, { imageId: image.id }),
      );
      const limits = { cpuShares: 512, cpuQuotaMillicores: 250, memoryLimitBytes: 32 << 20, oomScoreAdj: 1000 };
      expect(await runtime.resize(id, limits)).toBe(true);
      const has = kernelLimits(containerCgroupOf(id, containerd.cgroup));
      expect(has).toMatchObject({ memory: 32 << 20, cpuQuota: 25_000 });
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
        const image = await small.images.pull(busyboxImage, 'IfNotPresent');
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
      const image = await runtime.images.pull(busyboxImage, 'IfNotPresent');
      const { id } = await runtime.start(containerFor(pod, sandboxId, sandbox, { imageId: image.id }));
      const who = await eventually(() => collect((r) => runtime.exec(id, { command: ['id', '-u'], ...r })), 'exec');
      expect(who.stdout.toString()).toBe('65534\n');
    });
  });

  describeKubeletOver('containerd', () => ({ cgroup: containerd.cgroup, open: () => open('kubelet') }));
});
