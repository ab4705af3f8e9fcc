import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Container, Pod, PodSpec } from '../../api/kinds/pod.ts';
import { podLimits } from '../../executor/resources.ts';
import { cpuSharesOf, ownCgroup, setCgroup, sharesBelow } from '../../executor/runtimes/cgroups.ts';
import { busyboxImage, containerdIsHere } from './containerd.ts';
import { delay } from '../../lib/delay.ts';
import { kubeletOnContainerd, type KubeletOn } from './kubelet-on.ts';
import { leftovers } from './leftovers.ts';
import { aPod, collect, eventually } from './pods-for-tests.ts';

const resources = (limits?: Record<string, string>, requests?: Record<string, string>) => ({
  resources: { ...(limits ? { limits } : {}), ...(requests ? { requests } : {}) },
});
const named = (name: string, more: Partial<Container>): Container => ({ name, image: busyboxImage, ...more });

describe('the limits of a pod', () => {
  const limits = (containers: Partial<Container>[], spec: Partial<PodSpec> = {}) =>
    podLimits(aPod({}, { ...spec, containers: containers.map((c, i) => named(`c${i}`, c)) }));
  const [small, large] = [resources({ cpu: '100m', memory: '10Mi' }), resources({ cpu: '300m', memory: '20Mi' })];

  test('are those of its containers together, if each has some', () => {
    expect(limits([small, large])).toEqual({ cpuShares: 409, cpuQuotaMillicores: 400, memoryLimitBytes: 30 << 20 });
    expect(limits([small, resources({ memory: '1Mi' })])).toEqual({ cpuShares: 102, memoryLimitBytes: 11 << 20 });
    expect(limits([small, {}])).toEqual({ cpuShares: 102 });
    expect(limits([{}])).toEqual({ cpuShares: 2 });
  });

  test('are those of its largest init container, if that has more', () => {
    const initContainers = [named('i', resources({ cpu: '1', memory: '5Mi' }))];
    expect(limits([small], { initContainers })).toMatchObject({ cpuQuotaMillicores: 1000, memoryLimitBytes: 10 << 20 });
  });

  test('count the overhead of its runtime', () => {
    const overhead = { cpu: '100m', memory: '6Mi' };
    expect(limits([small], { overhead })).toEqual({
      cpuShares: 204,
      cpuQuotaMillicores: 200,
      memoryLimitBytes: 16 << 20,
    });
  });

  test('are its own where it names them, whatever its containers have', () => {
    const own = resources({ memory: '64Mi' }, { cpu: '500m', memory: '32Mi' });
    expect(limits([small, {}], own)).toEqual({ cpuShares: 512, memoryLimitBytes: 64 << 20 });
  });
});

describe('cgroups', () => {
  const root = mkdtempSync('/dev/shm/km-cgroup-');
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  test('of version 2 hand controllers down to the pod, and have weights and maxima', () => {
    writeFileSync(join(root, 'cgroup.controllers'), 'cpu memory pids');
    setCgroup('/mesos/x/km/pod1', { cpuShares: 1024, cpuQuotaMillicores: 500, memoryLimitBytes: 1 << 20 }, root);
    const read = (path: string) => readFileSync(join(root, path), 'utf8');
    expect(read('mesos/x/km/pod1/cpu.max')).toBe('50000 100000');
    expect(read('mesos/x/km/pod1/cpu.weight')).toBe('39');
    expect(read('mesos/x/km/pod1/memory.max')).toBe(String(1 << 20));
    for (const group of ['', 'mesos', 'mesos/x', 'mesos/x/km'])
      expect(existsSync(join(root, group, 'cgroup.subtree_control'))).toBe(true);
    expect(existsSync(join(root, 'mesos/x/km/pod1/cgroup.subtree_control'))).toBe(false);
    setCgroup('/mesos/x/km/pod1', { cpuShares: 2 }, root);
    expect([read('mesos/x/km/pod1/cpu.max'), read('mesos/x/km/pod1/memory.max')]).toEqual(['max 100000', 'max']);
    expect(cpuSharesOf('/mesos/x/km/pod1', root)).toBe(2);
    expect(sharesBelow('/mesos/x/km', root)).toBe(2);
  });

  test('are below the executor’s; in version 2 beside the leaf that Mesos puts it into', () => {
    expect(ownCgroup('4:memory:/mesos/a\n0::/\n')).toBe('/mesos/a');
    expect(ownCgroup('0::/mesos/a/leaf\n')).toBe('/mesos/a');
    expect(ownCgroup('0::/system.slice/agent\n')).toBe('/system.slice/agent');
    expect(ownCgroup('0::/\n')).toBe('/');
  });
});

const describeHere = containerdIsHere && process.getuid?.() === 0 ? describe : describe.skip;

describeHere('a pod on containerd', () => {
  let containerd: KubeletOn['place'];
  let runtime: KubeletOn['runtime'];
  let kubelet: KubeletOn['kubelet'];
  let stop: () => Promise<void>;
  beforeAll(
    async () => void ({ place: containerd, runtime, kubelet, stop } = await kubeletOnContainerd(15, 'cgroups')),
    60_000,
  );
  afterAll(() => stop(), 60_000);

  const run = (containers: Partial<Container>[], spec: Partial<PodSpec> = {}): Pod => {
    const all = containers.map((c, i) => named(`c${i}`, { command: ['sleep', '1000'], ...c }));
    const pod = aPod({}, { terminationGracePeriodSeconds: 0, ...spec, containers: all });
    kubelet.pods.bound(pod);
    kubelet.pods.admit(pod.metadata.uid!);
    return pod;
  };
  const statuses = (pod: Pod) => kubelet.status(pod)?.containerStatuses;
  const ready = (pod: Pod) => eventually(() => statuses(pod)?.every((c) => c.ready), 'the pod to run', 20_000);
  /** Where the container is in the memory hierarchy, below the tests' own group. */
  const groupOf = async (pod: Pod): Promise<string> => {
    await ready(pod);
    const { id } = (await kubelet.pods.container(pod.metadata.uid!, 'c0'))!;
    const said = await collect((r) => runtime.exec(id, { command: ['cat', '/proc/self/cgroup'], ...r }));
    return dirname(/^\d+:memory:(.*)$/m.exec(said.stdout.toString())![1]!).slice(containerd.cgroup.length);
  };
  const read = (controller: string, group: string, file: string) =>
    readFileSync(join('/sys/fs/cgroup', controller, containerd.cgroup, group, file), 'utf8').trim();

  const v1 = existsSync('/sys/fs/cgroup/memory') ? test : test.skip;

  v1('that forks without end has no more processes than a pod may have', async () => {
    const script = 'i=0; while [ $i -lt 500 ]; do sleep 1000 & i=$((i+1)); done; sleep 1000';
    const pod = run([{ command: ['sh', '-c', script] }, {}], { restartPolicy: 'Never' });
    const file = async () => {
      const container = await kubelet.pods.container(pod.metadata.uid!, 'c0');
      return container && existsSync(container.logPath) ? readFileSync(container.logPath, 'utf8') : '';
    };
    await eventually(async () => /can't fork/.test(await file()), 'the kernel to refuse a process', 20_000);
    expect(read('pids', `/besteffort/pod${pod.metadata.uid!}`, 'pids.max')).toBe('200');
    expect(statuses(pod)?.[1]).toMatchObject({ ready: true });
    kubelet.pods.end(pod.metadata.uid!, { graceSeconds: 0, remove: true });
  });

  v1('lies in the cgroup of its class, with limits that hold for all its containers', async () => {
    const full = resources({ cpu: '200m', memory: '32Mi' }, { cpu: '200m', memory: '32Mi' });
    const guaranteed = run([full, full], { overhead: { memory: '8Mi' } });
    const burstable = run([resources({ memory: '64Mi' }, { cpu: '500m', memory: '16Mi' })]);
    const another = run([resources(undefined, { cpu: '250m' })]);
    const bestEffort = run([{}]);
    expect(await groupOf(guaranteed)).toBe(`/pod${guaranteed.metadata.uid!}`);
    expect(await groupOf(burstable)).toBe(`/burstable/pod${burstable.metadata.uid!}`);
    expect(await groupOf(another)).toBe(`/burstable/pod${another.metadata.uid!}`);
    const least = await groupOf(bestEffort);
    expect(least).toBe(`/besteffort/pod${bestEffort.metadata.uid!}`);

    const own = `/pod${guaranteed.metadata.uid!}`;
    expect(read('memory', own, 'memory.limit_in_bytes')).toBe(String(72 << 20));
    expect(read('cpu', own, 'cpu.cfs_quota_us')).toBe('40000');
    expect(read('memory', await groupOf(another), 'memory.limit_in_bytes')).toMatch(/^9223372036854\d+$/);
    expect(read('cpu', least, 'cpu.shares')).toBe('2');
    expect(read('cpu', 'besteffort', 'cpu.shares')).toBe('2');
    expect(read('cpu', 'burstable', 'cpu.shares')).toBe('768');

    for (const pod of [guaranteed, burstable, bestEffort])
      kubelet.pods.end(pod.metadata.uid!, { graceSeconds: 0, remove: true });
    await eventually(
      () => [guaranteed, burstable, bestEffort].every((p) => !kubelet.pods.has(p.metadata.uid!)),
      'them to end',
    );
    expect(existsSync(join('/sys/fs/cgroup/memory', containerd.cgroup, own))).toBe(false);
    expect(existsSync(join('/sys/fs/cgroup/memory', containerd.cgroup, least))).toBe(false);
    expect(read('cpu', 'burstable', 'cpu.shares')).toBe('256');
  });

  test('is left nothing of when it is deleted while its sandbox is being made', async () => {
    const hurried = await Promise.all(
      Array.from({ length: 12 }, async (_, n) => {
        const pod = run([{}]);
        await delay(n * 15);
        kubelet.pods.lost(pod.metadata.uid!);
        return pod;
      }),
    );
    const gone = () => hurried.every(({ metadata }) => !kubelet.pods.has(metadata.uid!));
    await eventually(gone, 'them to end', 20_000);
    const uids = hurried.map(({ metadata }) => metadata.uid!);
    const ofThem = (names: string[]) => names.filter((name) => uids.some((uid) => name.includes(uid)));
    await eventually(async () => ofThem((await leftovers(containerd)).cgroups).length === 0, 'no cgroup', 20_000);
    await eventually(async () => !(await runtime.pods()).some(({ uid }) => uids.includes(uid)), 'no sandbox', 20_000);
  });

  test('shares what it has as a whole, and no more: a container without a limit ends there', async () => {
    const eater = { command: ['sh', '-c', 'sleep 1; tail /dev/zero'] };
    const pod = run([eater, {}], { ...resources({ memory: '24Mi' }), restartPolicy: 'Never' });
    const ended = await eventually(() => statuses(pod)?.[0]?.state.terminated, 'the eater to end', 20_000);
    expect(ended.exitCode).toBe(137);
    expect(ended.reason).toBe('OOMKilled');
  });

  v1('has new limits as a whole when its containers are resized', async () => {
    const pod = run([resources({ cpu: '200m', memory: '32Mi' }), resources({ cpu: '100m', memory: '16Mi' })]);
    const group = await groupOf(pod);
    const limit = () => read('memory', group, 'memory.limit_in_bytes');
    expect(limit()).toBe(String(48 << 20));
    const resized = structuredClone(pod);
    resized.spec.containers[0]!.resources!.limits = { cpu: '400m', memory: '64Mi' };
    kubelet.pods.bound(resized);
    await eventually(() => limit() === String(80 << 20), 'the pod to have more');
    expect(read('cpu', group, 'cpu.cfs_quota_us')).toBe('50000');
    kubelet.pods.bound(pod);
    await eventually(() => limit() === String(48 << 20), 'the pod to have less');
  });
});
