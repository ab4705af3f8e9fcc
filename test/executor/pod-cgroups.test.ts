import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Container, Pod, PodSpec } from '../../api/kinds/pod.ts';
import { podLimits } from '../../executor/resources.ts';
import { cgroupParentOf, makePodCgroup, pidsOfPod, removePodCgroup } from '../../executor/pod-cgroups.ts';
import type { CgroupDriver } from '../../executor/runtime.ts';
import {
  cgroupAt,
  cpuSharesOf,
  ownCgroup,
  processesBelow,
  setCgroup,
  sharesBelow,
  throttlingOf,
} from '../../executor/runtimes/cgroups.ts';
import { driverIn } from '../../executor/runtimes/cri-cgroup-driver.ts';
import { propertiesOf, sliceBelow } from '../../executor/runtimes/slices.ts';
import { silent } from '../../lib/log.ts';
import { kernelLimits, podCgroupOf, within } from './cgroups-for-tests.ts';
import { busyboxImage, containerdIsHere } from './containerd.ts';
import { delay } from '../../lib/delay.ts';
import { kubeletOnContainerd, type KubeletOn } from './kubelet-on.ts';
import { leftovers } from './leftovers.ts';
import { aPod, eventually } from './pods-for-tests.ts';

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

  test('of version 2 tell the processes of each container, and how often its quota was up', () => {
    writeFileSync(join(root, 'cgroup.controllers'), 'cpu memory pids');
    const container = join(root, 'km/pod2/cri-abc.scope');
    mkdirSync(container, { recursive: true });
    mkdirSync(join(root, 'km/pod2/gone'));
    writeFileSync(join(container, 'cgroup.procs'), '12\n345\n');
    writeFileSync(join(container, 'cpu.stat'), 'usage_usec 9\nnr_periods 7\nnr_throttled 3\nthrottled_usec 20\n');
    const found = processesBelow('/km/pod2', root);
    expect([found.get('cri-abc.scope'), found.get('gone')]).toEqual([[12, 345], []]);
    expect(processesBelow('/km/pod3', root)).toEqual(new Map());
    expect(throttlingOf('/km/pod2/cri-abc.scope', root)).toEqual({
      ...{ periods: 7, throttledPeriods: 3, throttledNanos: 20_000 },
    });
  });

  test('are below the executor’s; in version 2 beside the leaf that Mesos puts it into', () => {
    expect(ownCgroup('4:memory:/mesos/a\n0::/\n')).toBe('/mesos/a');
    expect(ownCgroup('0::/mesos/a/leaf\n')).toBe('/mesos/a');
    expect(ownCgroup('0::/system.slice/agent\n')).toBe('/system.slice/agent');
    expect(ownCgroup('0::/\n')).toBe('/');
  });
});

describe('where systemd manages cgroups', () => {
  const parentOf = (cgroupDriver: CgroupDriver | undefined, chosen = '', isolates = true) =>
    cgroupParentOf({ isolates, cgroupDriver }, chosen, silent);

  test('pods lie in slices, which are named after where they are', () => {
    expect(sliceBelow('/km.slice', [])).toBe('/km.slice');
    expect(sliceBelow('km-a.slice', ['', 'pod1-2'])).toBe('/km.slice/km-a.slice/km-a-pod1_2.slice');
    expect(parentOf('systemd')).toBe('/km.slice');
    expect(parentOf('systemd', 'pods-x.slice')).toBe('/pods.slice/pods-x.slice');
    expect(parentOf(undefined, 'pods.slice')).toBe('/pods.slice');
    expect(parentOf('cgroupfs', '/x')).toBe('/x');
    expect(parentOf('cgroupfs')).toBe(join(ownCgroup(), 'km'));
    expect(parentOf('systemd', '', false)).toBe('');
  });

  test('a parent that the runtime would not take is refused, with what to do', () => {
    expect(() => parentOf('systemd', '/x')).toThrow('names /x, which is no slice: name one such as km.slice');
    expect(() => parentOf('cgroupfs', 'x.slice')).toThrow('names x.slice, a slice of systemd: name a path');
  });

  test('where systemd may not be asked, pods do without limits of their own', async () => {
    const pod = aPod(resources({ memory: '10Mi' }));
    await makePodCgroup(pod, '/kmtest.slice');
    await removePodCgroup(pod.metadata.uid ?? '', '/kmtest.slice');
    const { PATH = '' } = process.env;
    process.env.PATH = ''; // there is no busctl either
    try {
      expect(String(await makePodCgroup(pod, '/kmtest.slice'))).toContain('there is no busctl here');
    } finally {
      process.env.PATH = PATH;
    }
  });

  test('limits are properties of slices: whole percents of a processor, and infinity for none', () => {
    const none = '18446744073709551615';
    expect(propertiesOf({ cpuShares: 1024 })).toEqual([
      ['CPUWeight', 't', '39'],
      ['CPUQuotaPerSecUSec', 't', none],
      ['MemoryMax', 't', none],
    ]);
    const limits = { cpuShares: 2, cpuQuotaMillicores: 254, memoryLimitBytes: 1 << 20, pids: 7 };
    expect(propertiesOf(limits)).toEqual([
      ['CPUWeight', 't', '1'],
      ['CPUQuotaPerSecUSec', 't', '260000'],
      ['MemoryMax', 't', '1048576'],
      ['TasksMax', 't', '7'],
    ]);
  });

  test('containerd 1 tells it by its configuration, others may not', () => {
    const config = (options: object) =>
      JSON.stringify({ containerd: { defaultRuntimeName: 'r', runtimes: { x: {}, r: { options } } } });
    expect(driverIn(config({ SystemdCgroup: true }))).toBe('systemd');
    expect(driverIn(config({ SystemdCgroup: false }))).toBe('cgroupfs');
    expect(driverIn(config({}))).toBe('cgroupfs');
    expect([driverIn(), driverIn('{}'), driverIn('sandboxImage')]).toEqual([undefined, undefined, undefined]);
  });
});

const describeHere = containerdIsHere && process.getuid?.() === 0 ? describe : describe.skip;

const drivers: CgroupDriver[] = existsSync('/run/systemd/system') ? ['cgroupfs', 'systemd'] : ['cgroupfs'];

describeHere.each(drivers)('a pod on containerd with the cgroup driver %s', (driver) => {
  let containerd: KubeletOn['place'];
  let runtime: KubeletOn['runtime'];
  let kubelet: KubeletOn['kubelet'];
  let stop: () => Promise<void>;
  beforeAll(
    async () => void ({ place: containerd, runtime, kubelet, stop } = await kubeletOnContainerd(15, 'cgroups', driver)),
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
  /** Where the container is, as the runtime made it. */
  const groupOf = async (pod: Pod): Promise<string> => {
    await ready(pod);
    const { id } = (await kubelet.pods.container(pod.metadata.uid!, 'c0'))!;
    return podCgroupOf(id, containerd.cgroup);
  };
  const below = (...names: string[]) =>
    driver === 'systemd' ? sliceBelow(containerd.cgroup, names) : join(containerd.cgroup, ...names);
  const nameOf = (pod: Pod) => `pod${pod.metadata.uid!}`;

  test('is told to the runtime as one of that driver', () => {
    expect(runtime.cgroupDriver).toBe(driver);
  });

  test('that forks without end has no more processes than a pod may have', async () => {
    const script = 'i=0; while [ $i -lt 500 ]; do sleep 1000 & i=$((i+1)); done; sleep 1000';
    const pod = run([{ command: ['sh', '-c', script] }, {}], { restartPolicy: 'Never' });
    const file = async () => {
      const container = await kubelet.pods.container(pod.metadata.uid!, 'c0');
      return container && existsSync(container.logPath) ? readFileSync(container.logPath, 'utf8') : '';
    };
    await eventually(() => pidsOfPod(pod, containerd.cgroup) > 50, 'its processes to be counted', 20_000);
    await eventually(async () => /can't fork/.test(await file()), 'the kernel to refuse a process', 20_000);
    expect(kernelLimits(below('besteffort', nameOf(pod))).pids).toBe(200);
    expect(statuses(pod)?.[1]).toMatchObject({ ready: true });
    kubelet.pods.end(pod.metadata.uid!, { graceSeconds: 0, remove: true });
  });

  test('lies in the cgroup of its class, with limits that hold for all its containers', async () => {
    const full = resources({ cpu: '200m', memory: '32Mi' }, { cpu: '200m', memory: '32Mi' });
    const guaranteed = run([full, full], { overhead: { memory: '8Mi' } });
    const burstable = run([resources({ memory: '64Mi' }, { cpu: '500m', memory: '16Mi' })]);
    const another = run([resources(undefined, { cpu: '250m' })]);
    const bestEffort = run([{}]);
    expect(await groupOf(guaranteed)).toBe(below(nameOf(guaranteed)));
    expect(await groupOf(burstable)).toBe(below('burstable', nameOf(burstable)));
    expect(await groupOf(another)).toBe(below('burstable', nameOf(another)));
    expect(await groupOf(bestEffort)).toBe(below('besteffort', nameOf(bestEffort)));

    const own = below(nameOf(guaranteed));
    const least = below('besteffort', nameOf(bestEffort));
    expect(kernelLimits(own)).toMatchObject({ memory: 72 << 20, cpuQuota: 40_000 });
    expect(kernelLimits(below('burstable', nameOf(another))).memory).toBeUndefined();
    expect(kernelLimits(least).shares).toBe(2);
    expect(kernelLimits(below('besteffort')).shares).toBe(2);
    const burstables = () => kernelLimits(below('burstable')).shares;
    expect(within(burstables(), 768)).toBe(true);

    for (const pod of [guaranteed, burstable, bestEffort])
      kubelet.pods.end(pod.metadata.uid!, { graceSeconds: 0, remove: true });
    await eventually(
      () => [guaranteed, burstable, bestEffort].every((p) => !kubelet.pods.has(p.metadata.uid!)),
      'them to end',
    );
    expect([own, least].some((path) => existsSync(cgroupAt(path)))).toBe(false);
    await eventually(() => within(burstables(), 256), 'the others of its class to have less');
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

  test('has new limits as a whole when its containers are resized', async () => {
    const pod = run([resources({ cpu: '200m', memory: '32Mi' }), resources({ cpu: '100m', memory: '16Mi' })]);
    const group = await groupOf(pod);
    const limit = () => kernelLimits(group).memory;
    expect(limit()).toBe(48 << 20);
    const resized = structuredClone(pod);
    resized.spec.containers[0]!.resources!.limits = { cpu: '400m', memory: '64Mi' };
    kubelet.pods.bound(resized);
    await eventually(() => limit() === 80 << 20, 'the pod to have more');
    expect(kernelLimits(group).cpuQuota).toBe(50_000);
    kubelet.pods.bound(pod);
    await eventually(() => limit() === 48 << 20, 'the pod to have less');
  });
});
