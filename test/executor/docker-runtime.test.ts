import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { Pod } from '../../api/kinds/pod.ts';
import { freePort } from '../../cli/ports.ts';
import type { ContainerSpec, SandboxSpec } from '../../executor/runtime.ts';
import { DockerRuntime } from '../../executor/runtimes/docker.ts';
import { silent } from '../../lib/log.ts';
import { containerCgroupOf, kernelLimits, within } from './cgroups-for-tests.ts';
import { type Dockerd, dockerIsHere, startDockerd } from './dockerd.ts';
import { busyboxImage, pauseImage } from './images.ts';
import { describeKubeletOver } from './kubelet-over.suite.ts';
import { aPod, collect, containerFor, containerOf, eventually, exited, sandboxFor } from './pods-for-tests.ts';
import { describeRuntime } from './runtime.suite.ts';

const describeHere = dockerIsHere && process.getuid?.() === 0 ? describe : describe.skip;

async function removeAll(runtime: DockerRuntime): Promise<void> {
  await Promise.all((await runtime.pods()).map((pod) => runtime.removeSandbox(pod.sandbox.id)));
  await runtime.close();
}

describeHere('with Docker', () => {
  let dockerd: Dockerd;
  const open = (owner: string) =>
    DockerRuntime.open({ host: dockerd.host, owner, nodeIp: '127.0.0.1', network: 'bridge', pauseImage, log: silent });
  beforeAll(async () => {
    dockerd = await startDockerd(1);
  }, 60_000);
  afterAll(() => dockerd?.stop(), 60_000);

  describeRuntime('Docker', async () => {
    const runtime = await open('suite');
    const others: DockerRuntime[] = [];
    return {
      runtime,
      reopen: async () => {
        others.push(await open('suite'));
        return others.at(-1)!;
      },
      outlives: true,
      ownLogs: true,
      close: async () => {
        await Promise.all(others.map((other) => other.close()));
        await removeAll(runtime);
      },
    };
  });

  describeKubeletOver('Docker', () => ({ cgroup: dockerd.cgroup, open: () => open('kubelet') }));

  describe('the Docker runtime alone', () => {
    let runtime: DockerRuntime;
    beforeAll(async () => {
      runtime = await open('alone');
    });
    afterAll(() => removeAll(runtime), 60_000);
    const logs = () => join(dockerd.directory, 'logs');
    const start = async (pod: Pod, more: Partial<ContainerSpec> = {}, spec: Partial<SandboxSpec> = {}) => {
      const sandbox = { ...sandboxFor(pod, logs()), ...spec };
      const { id: sandboxId, ip } = await runtime.createSandbox(sandbox);
      const image = await runtime.images.pull(busyboxImage, 'IfNotPresent');
      const { id } = await runtime.start(containerFor(pod, sandboxId, sandbox, { imageId: image.id, ...more }));
      return { id, ip, sandboxId, uid: pod.metadata.uid! };
    };
    const said = async (id: string, ...command: string[]) =>
      (await collect((r) => runtime.exec(id, { command, ...r }))).stdout.toString();

    test('names itself, and says in words that nobody answers, or that an address is none', async () => {
      expect((await runtime.version()).containerRuntimeVersion).toMatch(/^docker:\/\/\d/);
      const at = (host: string) =>
        DockerRuntime.open({ ...{ host, owner: 'x', nodeIp: '', network: 'bridge' }, pauseImage, log: silent });
      await expect(at('unix:///run/km-test/no.sock')).rejects.toThrow(
        'no Docker answers at unix:///run/km-test/no.sock',
      );
      await expect(at('/var/run/docker.sock')).rejects.toThrow('is no address of Docker: expected unix://');
    });

    test('gives pods an address of its network, and on the host network the node’s', async () => {
      const own = await start(aPod({ command: ['sleep', '100'] }));
      expect(own.ip).toMatch(/^10\.87\.1\.\d+$/);
      expect(await said(own.id, 'ip', 'addr')).toContain(own.ip);
      const host = await start(aPod({ command: ['sleep', '100'] }, { hostNetwork: true }, 'h'));
      expect(host.ip).toBe('127.0.0.1');
      expect(await said(host.id, 'hostname')).toBe(`${hostname()}\n`);
    });

    test('a network of its own, where it is told one; a sandbox that cannot start leaves nothing', async () => {
      await dockerd.docker.createNetwork({
        Name: 'pods',
        Driver: 'bridge',
        Options: { 'com.docker.network.bridge.name': 'kmd1b' },
      });
      const open = (network: string) =>
        DockerRuntime.open({ host: dockerd.host, owner: 'alone', nodeIp: '', network, pauseImage, log: silent });
      const [there, nowhere] = [await open('pods'), await open('no-such-network')];
      try {
        const { id, ip } = await there.createSandbox(sandboxFor(aPod(), logs()));
        const { IPAM } = await dockerd.docker.getNetwork('pods').inspect();
        expect(ip.split('.').slice(0, 2)).toEqual(IPAM?.Config?.[0]?.Subnet?.split('.').slice(0, 2));
        await there.removeSandbox(id);
        const before = await dockerd.containers();
        const failing = nowhere.createSandbox(sandboxFor(aPod(), logs()));
        await expect(failing).rejects.toMatchObject({
          reason: 'FailedCreatePodSandBox',
          message: expect.stringContaining('no-such-network'),
        });
        expect(await dockerd.containers()).toEqual(before);
      } finally {
        await there.close();
        await nowhere.close();
        await dockerd.docker.getNetwork('pods').remove();
      }
    });

    test('an SELinux label is Docker’s to give', async () => {
      const label = { seLinuxOptions: { level: 's0:c1,c2', type: 'spc_t' } };
      const { id } = await start(aPod({ command: ['sleep', '100'] }, { securityContext: label }, 'labelled'));
      const { HostConfig } = await dockerd.docker.getContainer(id).inspect();
      expect(HostConfig.SecurityOpt).toEqual(expect.arrayContaining(['label=level:s0:c1,c2', 'label=type:spc_t']));
    });

    test('a host port leads to the pod', async () => {
      const hostPort = await freePort();
      const script = 'while :; do echo from the pod | nc -l -p 8080; done';
      const portMappings = [{ containerPort: 8080, hostPort, protocol: 'TCP' as const, hostIP: '127.0.0.1' }];
      await start(aPod({ command: ['sh', '-c', script] }, {}, 'ported'), {}, { portMappings });
      const answer = await eventually(async () => {
        const socket = connect({ host: '127.0.0.1', port: hostPort });
        const chunks: Buffer[] = [];
        socket.on('data', (chunk) => chunks.push(chunk)).on('error', () => undefined);
        await new Promise((resolve) => socket.once('close', resolve));
        return chunks.length > 0 ? Buffer.concat(chunks).toString() : undefined;
      }, 'an answer at the host port');
      expect(answer).toBe('from the pod\n');
      // Another one cannot have it, and says so.
      const second = runtime.createSandbox({ ...sandboxFor(aPod({}, {}, 'second'), logs()), portMappings });
      await expect(second).rejects.toThrow(/port is already allocated|address already in use/);
    });

    test('reaches a port that is bound to the pod’s loopback address alone, and refuses one where nobody is', async () => {
      const script = 'echo only here > /tmp/f; exec httpd -f -p 127.0.0.1:8081 -h /tmp';
      const { sandboxId } = await start(aPod({ command: ['sh', '-c', script] }, {}, 'inside'));
      const answer = await eventually(async () => {
        const stream = await runtime.connect(sandboxId, 8081).catch(() => undefined);
        if (!stream) return undefined;
        const chunks: Buffer[] = [];
        stream.on('error', () => undefined).on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.write('GET /f HTTP/1.0\r\n\r\n');
        await new Promise((resolve) => stream.once('end', resolve).once('close', resolve));
        stream.destroy();
        return Buffer.concat(chunks).toString() || undefined;
      }, 'an answer');
      expect(answer).toMatch(/\r\n\r\nonly here\n$/);
      await expect(runtime.connect(sandboxId, 8082)).rejects.toThrow('cannot connect to port 8082 of the pod');
      await expect(runtime.connect('nope', 8082)).rejects.toThrow();
    });

    test('puts a pod below the cgroup it is told, with its limits, and tells who ran out of memory', async () => {
      const pod = aPod({ command: ['sh', '-c', 'sleep 0.3; head -c 100000000 /dev/zero | tail'] });
      const cgroupParent = `${dockerd.cgroup}/pod${pod.metadata.uid!}`;
      const resources = { cpuShares: 204, cpuQuotaMillicores: 500, memoryLimitBytes: 16 << 20, oomScoreAdj: 1000 };
      const { id, uid } = await start(pod, { resources }, { cgroupParent });
      const has = kernelLimits(containerCgroupOf(id, cgroupParent));
      expect(has).toMatchObject({ cpuQuota: 50_000, memory: 16 << 20 });
      expect(within(has.shares, 204)).toBe(true);
      expect(await exited(runtime, uid)).toMatchObject({ exitCode: 137, reason: 'OOMKilled' });
    });

    test('gives a running container new limits', async () => {
      const { id } = await start(
        aPod({ command: ['sleep', '100'] }, {}, 'resized'),
        {},
        { cgroupParent: dockerd.cgroup },
      );
      const limits = { cpuShares: 512, cpuQuotaMillicores: 250, memoryLimitBytes: 32 << 20, oomScoreAdj: 1000 };
      expect(await runtime.resize(id, limits)).toBe(true);
      const has = () => kernelLimits(containerCgroupOf(id, dockerd.cgroup));
      expect(has()).toMatchObject({ memory: 32 << 20, cpuQuota: 25_000 });
      const { cpuQuotaMillicores: _, ...free } = limits;
      expect(await runtime.resize(id, free)).toBe(true);
      expect(has().cpuQuota).toBeUndefined();
    });

    test('tells the reasons of images that cannot be had', async () => {
      await expect(runtime.images.pull('k8s.test/no-such:1', 'Never')).rejects.toMatchObject({
        reason: 'ErrImageNeverPull',
      });
      await expect(runtime.images.pull('127.0.0.1:1/no-such:1', 'IfNotPresent')).rejects.toMatchObject({
        reason: 'ErrImagePull',
      });
      await expect(runtime.images.pull('a b', 'Always')).rejects.toMatchObject({ reason: 'InvalidImageName' });
      await expect(runtime.images.pull('some/UPPER', 'IfNotPresent')).rejects.toMatchObject({
        reason: 'InvalidImageName',
      });
      expect(await runtime.images.pull(busyboxImage, 'IfNotPresent')).toMatchObject({ pulled: false });
    });

    test('knows its images: which are used, and which it may not do without; an unused one can go', async () => {
      const { id: used } = await runtime.images.pull(busyboxImage, 'IfNotPresent');
      await start(aPod({ command: ['sleep', '100'] }, {}, 'imaged'));
      const find = async (name: string) => (await runtime.images.list()).find(({ names }) => names.includes(name));
      expect(await find(busyboxImage)).toMatchObject({ id: used, pinned: false, inUse: true });
      expect(await find(pauseImage)).toMatchObject({ pinned: true });
      expect((await find(pauseImage))!.bytes).toBeGreaterThan(100_000);
      expect(existsSync(await runtime.images.directory())).toBe(true);
      const container = await dockerd.docker.createContainer({ Image: busyboxImage });
      await container.commit({ repo: 'k8s.test/unused', tag: '1' });
      await container.remove();
      const unused = (await find('k8s.test/unused:1'))!;
      expect(unused).toMatchObject({ pinned: false, inUse: false });
      await runtime.images.remove(unused.id);
      expect(await find('k8s.test/unused:1')).toBeUndefined();
      await runtime.images.remove('sha256:' + '0'.repeat(64));
    });

    test('never sees pods of another owner, nor containers that are no pods', async () => {
      const other = await open('neighbour');
      const stranger = await dockerd.docker.createContainer({ Image: busyboxImage, Cmd: ['sleep', '100'] });
      try {
        const pod = aPod({}, {}, 'theirs');
        await other.createSandbox(sandboxFor(pod, logs()));
        expect((await runtime.pods()).some((p) => p.uid === pod.metadata.uid)).toBe(false);
        await removeAll(other);
        expect(await dockerd.containers()).toContain(stranger.id);
      } finally {
        await stranger.remove({ force: true });
      }
    });

    test('a container whose sandbox somebody removed is found, and goes with its pod', async () => {
      const { id, sandboxId, uid } = await start(aPod({ command: ['sleep', '100'] }, {}, 'orphan'));
      await dockerd.docker.getContainer(sandboxId).remove({ force: true });
      const found = (await runtime.pods()).find((pod) => pod.uid === uid)!;
      expect(found).toMatchObject({ name: 'orphan', sandbox: { id: sandboxId, ready: false, attempt: 0 } });
      expect(found.containers.map((c) => c.id)).toEqual([id]);
      await runtime.removeSandbox(sandboxId);
      expect(await dockerd.containers()).not.toContain(id);
    });

    test('a container that could not be started has failed, and its next try is another one', async () => {
      const pod = aPod({ command: ['/no/such/thing'] }, {}, 'unstartable');
      await expect(start(pod)).rejects.toMatchObject({
        reason: 'RunContainerError',
        message: expect.stringContaining('/no/such/thing'),
      });
      expect(await exited(runtime, pod.metadata.uid!)).toMatchObject({
        state: 'exited',
        exitCode: 128,
        reason: 'StartError',
      });
    });

    test('begins a new log file when one grows too long, and keeps a few', async () => {
      const options = { host: dockerd.host, owner: 'alone', nodeIp: '', network: 'bridge', pauseImage, log: silent };
      const small = await DockerRuntime.open({ ...options, maxLogBytes: 20_000 });
      try {
        const pod = aPod({
          command: ['sh', '-c', 'for i in $(seq 100); do head -c 3000 /dev/zero | tr "\\0" x; echo; done; sleep 100'],
        });
        const sandbox = sandboxFor(pod, logs());
        const { id: sandboxId } = await small.createSandbox(sandbox);
        const image = await small.images.pull(busyboxImage, 'IfNotPresent');
        await small.start(containerFor(pod, sandboxId, sandbox, { imageId: image.id }));
        const path = await eventually(async () => (await containerOf(small, pod.metadata.uid!))?.logPath, 'the log');
        const files = () => readdirSync(dirname(path)).filter((name) => name.startsWith(basename(path)));
        await eventually(() => files().length === 5, 'as many logs as are kept');
        expect(statSync(path).size).toBeLessThan(40_000);
      } finally {
        await small.close();
      }
    });

    test('its containers go on when Docker is killed, and are found when it is back', async () => {
      const { id, uid } = await start(
        aPod({ command: ['sh', '-c', 'while :; do date; sleep 0.1; done'] }, {}, 'lasting'),
      );
      const before = (await containerOf(runtime, uid))!;
      await dockerd.kill();
      await expect(runtime.pods()).rejects.toThrow();
      await dockerd.start();
      const after = await eventually(() => containerOf(runtime, uid).catch(() => undefined), 'Docker to answer');
      expect(after).toMatchObject({ id, state: 'running', startedAt: before.startedAt });
      expect(await said(id, 'echo', 'still here')).toBe('still here\n');
      const told = new Promise<string>((resolve) => runtime.onChange((changed) => changed === uid && resolve(changed)));
      await runtime.stop(id, 0);
      expect(await told).toBe(uid);
    });
  });
});
