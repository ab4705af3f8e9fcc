import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Container, Pod, PodSpec } from '../../api/kinds/pod.ts';
import { type Candidate, type Scarce, overLimit, shortageWords, victim } from '../../executor/eviction.ts';
import { ImageCollector, imagesToRemove } from '../../executor/image-collector.ts';
import { type MachineReadings, ToldPressures, pressuresIn } from '../../executor/machine.ts';
import type { DiskUse } from '../../executor/pod-disk.ts';
import { relieve } from '../../executor/pressure.ts';
import { shortage } from '../../executor/rejection.ts';
import type { RuntimeImage } from '../../executor/runtime.ts';
import { UsageMeter } from '../../executor/usage.ts';
import { silent } from '../../lib/log.ts';
import { type TestKubelet, testKubelet } from './kubelet-for-tests.ts';
import { aPod, eventually } from './pods-for-tests.ts';

const candidate = (name: string, used: number, request = '0', priority = 0): Candidate => ({
  pod: aPod({ resources: { requests: { memory: request } } }, { priority }, name),
  used,
});

describe('who is evicted', () => {
  const cases: [string, Candidate[], string | undefined][] = [
    ['nobody where nobody is', [], undefined],
    ['who uses more than asked for', [candidate('a', 500, '600'), candidate('b', 100, '50')], 'b'],
    ['of those the lower priority', [candidate('a', 500, '0', 10), candidate('b', 100, '0', 5)], 'b'],
    ['of those who is further above', [candidate('a', 500, '450'), candidate('b', 100)], 'b'],
    ['else the lower priority', [candidate('a', 1, '2', 1), candidate('b', 1, '9', 2)], 'a'],
    ['never who is of the system', [candidate('a', 500, '0', 2_000_000_000), candidate('b', 1, '9')], 'b'],
    ['never who uses nothing', [candidate('a', 0)], undefined],
  ];
  test.each(cases)('%s', (_words, candidates, name) => {
    expect(victim(candidates, 'memory')?.pod.metadata.name).toBe(name);
  });

  const words: [Scarce, Candidate, string][] = [
    [
      'memory',
      candidate('a', 2 << 20, '1Mi'),
      'The node was low on resource: memory. The pod was using 2Mi, request is 1Mi, has larger consumption of memory. ',
    ],
    [
      'memory',
      candidate('a', 1 << 20, '2Mi'),
      'The node was low on resource: memory. The pod was using 1Mi, request is 2Mi. ',
    ],
    ['pids', candidate('a', 7), 'The node was low on resource: pids. The pod had 7 processes. '],
  ];
  test.each(words)('in words, for %s', (what, one, expected) => {
    expect(shortageWords(one, what)).toBe(expected);
  });
});

describe('a node that is short of something takes', () => {
  const plenty = { memory: false, disk: false, pids: false };
  const modest = aPod({ resources: { requests: { memory: '1Mi' } } });
  const bearing = (key: string) => aPod({}, { tolerations: [{ key, operator: 'Exists' }] });
  test.each<[string, Pod, Partial<typeof plenty>, string | undefined]>([
    ['everybody while it is not', aPod(), {}, undefined],
    ['of memory, nobody who asked for none', aPod(), { memory: true }, 'MemoryPressure'],
    ['of memory, who asked for some', modest, { memory: true }, undefined],
    ['of memory, who bears that', bearing('node.kubernetes.io/memory-pressure'), { memory: true }, undefined],
    [
      'of memory, not who bears something else',
      bearing('node.kubernetes.io/disk-pressure'),
      { memory: true },
      'MemoryPressure',
    ],
    ['of disk, nobody', modest, { disk: true }, 'DiskPressure'],
    ['of all, nobody', modest, { memory: true, disk: true, pids: true }, 'MemoryPressure DiskPressure PIDPressure'],
    ['of all, who is of the system', aPod({}, { priority: 2_000_000_000 }), { memory: true, disk: true }, undefined],
  ])('%s', (_words, pod, short, told) => {
    const message = `Pod was rejected: The node had condition: [${told}]. `;
    expect(shortage(pod, { ...plenty, ...short })).toEqual(told && { reason: 'Evicted', message });
  });
});

describe('the limit of a pod on disk', () => {
  const of = (limit: string | undefined): NonNullable<Container['resources']> =>
    limit === undefined ? {} : { limits: { 'ephemeral-storage': limit } };
  const podOf = (a?: string, b?: string, spec: Partial<PodSpec> = {}): Pod =>
    aPod(
      {},
      {
        ...spec,
        containers: [
          { name: 'a', resources: of(a) },
          { name: 'b', resources: of(b) },
        ],
      },
    );
  const mega = 1 << 20;
  const use = (total: number, containers: object = {}, volumes: object = {}): DiskUse => ({
    ...{ total, containers: new Map(Object.entries(containers)), volumes: new Map(Object.entries(volumes)) },
  });
  const volume = { volumes: [{ name: 'v', emptyDir: { sizeLimit: '1Mi' } }] };
  const cases: [string, Pod, DiskUse, string | undefined][] = [
    [
      'of a volume',
      podOf(undefined, undefined, volume),
      use(0, {}, { v: 2 * mega }),
      'EmptyDir volume "v" exceeds the limit "1Mi"',
    ],
    ['of a volume, kept', podOf(undefined, undefined, volume), use(9 * mega, {}, { v: mega }), undefined],
    ['of all containers together', podOf('1Mi', '1Mi'), use(2 * mega + 1, {}), 'total limit of containers 2Mi'],
    ['of those that have one', podOf('1Mi'), use(2 * mega, { b: 2 * mega }), 'total limit of containers 1Mi'],
    [
      'of one container',
      podOf('1Mi', '4Mi'),
      use(3 * mega, { a: 2 * mega }),
      'Container a exceeded its local ephemeral storage limit "1Mi"',
    ],
    ['of all, kept', podOf('1Mi', '1Mi'), use(2 * mega, { a: mega, b: mega }), undefined],
    ['of none', podOf(), use(9 * mega, { a: 9 * mega }), undefined],
  ];
  test.each(cases)('%s', (_what, pod, found, words) => {
    const said = overLimit(pod, found);
    if (words === undefined) expect(said).toBeUndefined();
    else expect(said).toContain(words);
  });
});

const well = { memoryAvailable: 1e12, diskFree: 1, inodesFree: 1, imagesFree: 1, pidsUsed: 0 };

describe('what a machine is short of', () => {
  const cases: [Partial<MachineReadings>, string[]][] = [
    [{}, []],
    [{ memoryAvailable: 1 << 20 }, ['memory']],
    [{ diskFree: 0.05 }, ['disk']],
    [{ inodesFree: 0.04 }, ['disk']],
    [{ imagesFree: 0.14 }, ['disk']],
    [{ diskFree: 0.11, inodesFree: 0.06, imagesFree: 0.16 }, []],
    [{ pidsUsed: 0.95, memoryAvailable: 0 }, ['memory', 'pids']],
  ];
  test.each(cases)('%j', (readings, short) => {
    const found = Object.entries(pressuresIn({ ...well, ...readings })).filter(([, isShort]) => isShort);
    expect(found.map(([what]) => what)).toEqual(short);
  });

  test('is told for five minutes more, so that its node does not waver', () => {
    const told = new ToldPressures();
    const [none, some] = [pressuresIn(well), pressuresIn({ ...well, memoryAvailable: 0 })];
    expect(told.told(none, 0).memory).toBe(false);
    expect(told.told(some, 1_000).memory).toBe(true);
    expect(told.told(none, 300_999)).toEqual({ memory: true, disk: false, pids: false });
    expect(told.told(none, 301_000).memory).toBe(false);
  });
});

describe('which images go', () => {
  const image = (id: string, more: Partial<RuntimeImage> = {}): RuntimeImage => ({
    id,
    names: [id],
    bytes: 100,
    pinned: false,
    inUse: false,
    ...more,
  });
  const images = [
    image('used', { inUse: true }),
    image('pinned', { pinned: true }),
    image('old'),
    image('older'),
    image('new'),
    image('unseen'),
  ];
  const lastUsed = new Map([
    ['used', 0],
    ['pinned', 0],
    ['old', 2000],
    ['older', 1000],
    ['new', 590_000],
  ]);
  const cases: [number, string[]][] = [
    [0, []],
    [1, ['older']],
    [101, ['older', 'old']],
    [Infinity, ['older', 'old']],
  ];
  test.each(cases)('to free %d bytes', (bytes, expected) => {
    expect(imagesToRemove(images, lastUsed, bytes, 600_000).map(({ id }) => id)).toEqual(expected);
  });
});

describe('a kubelet whose machine is short of something', () => {
  let kubelet: TestKubelet;
  beforeAll(() => {
    kubelet = testKubelet();
  });
  afterAll(() => kubelet.close());

  const run = (name: string, script: string, spec: Partial<PodSpec> = {}): Pod => {
    const pod = aPod({ command: ['sh', '-c', script] }, spec, name);
    kubelet.pods.bound(pod);
    kubelet.pods.admit(pod.metadata.uid!);
    return pod;
  };
  const running = (pod: Pod) => eventually(() => kubelet.status(pod)?.phase === 'Running', 'the pod to run');
  const look = (evicts: boolean, readings: object = {}) => {
    const { pods, runtime, directory } = kubelet;
    const given = {
      pods,
      meter: new UsageMeter(runtime),
      images: new ImageCollector(runtime.images, silent),
      readings: () => Promise.resolve({ ...well, ...readings }),
      evicts,
      volumes: join(directory, 'volumes'),
      logs: join(directory, 'logs'),
      pidsOf: ({ metadata }: Pod) => (metadata.name === 'forks' ? 1000 : 3),
      log: silent,
    };
    return relieve(given, Date.now());
  };

  test('ends one pod, the one that it can most do without, and says why', async () => {
    const script = 'sleep 1000 & wait';
    const [humble, proud] = [
      run('humble', script, { priority: 1, terminationGracePeriodSeconds: 600 }),
      run('proud', script, { priority: 2 }),
    ];
    await Promise.all([running(humble), running(proud)]);
    await look(false, { memoryAvailable: 0 });
    await look(true, { memoryAvailable: 1e12 });
    expect(kubelet.apiserver.events.join()).not.toContain('Evicted');
    await look(true, { memoryAvailable: 0 });
    const status = await eventually(() => {
      const found = kubelet.status(humble);
      return found?.phase === 'Failed' ? found : undefined;
    }, 'its end');
    expect(status).toMatchObject({
      reason: 'Evicted',
      message: expect.stringMatching(/^The node was low on resource: memory\. The pod was using /),
    });
    expect(status.conditions!.find((c) => c.type === 'DisruptionTarget')).toMatchObject({
      status: 'True',
      reason: 'TerminationByKubelet',
    });
    expect(kubelet.apiserver.events).toContainEqual(expect.stringMatching(/^Warning Evicted The node was low/));
    expect(kubelet.reports.get(humble.metadata.uid!)).toMatchObject({ phase: 'Failed' });
    expect(kubelet.status(proud)!.phase).toBe('Running');
  });

  test('of processes it ends the pod that has the most', async () => {
    const [few, forks] = [run('few', 'sleep 1000'), run('forks', 'sleep 1000')];
    await Promise.all([running(few), running(forks)]);
    await look(true, { pidsUsed: 1 });
    const words = 'The node was low on resource: pids. The pod had 1000 processes. ';
    await eventually(() => kubelet.status(forks)?.message === words, 'its end');
    expect(kubelet.status(few)!.phase).toBe('Running');
  });

  test('ends a pod whose emptyDir has outgrown its limit, whatever the machine has', async () => {
    mkdirSync(join(kubelet.directory, 'volumes'), { recursive: true });
    const spec = { volumes: [{ name: 'v', emptyDir: { sizeLimit: '1Mi' } }] };
    const pod = aPod(
      {
        command: ['sh', '-c', 'head -c 3000000 /dev/zero > /km-full/f; touch /km-full/done; sleep 1000'],
        volumeMounts: [{ name: 'v', mountPath: '/km-full' }],
        readinessProbe: { exec: { command: ['test', '-e', '/km-full/done'] }, periodSeconds: 0.05 },
      },
      spec,
      'full',
    );
    kubelet.pods.bound(pod);
    kubelet.pods.admit(pod.metadata.uid!);
    await eventually(() => kubelet.status(pod)?.containerStatuses?.[0]?.ready, 'the file');
    await look(false);
    const status = await eventually(() => {
      const found = kubelet.status(pod);
      return found?.phase === 'Failed' ? found : undefined;
    }, 'its end');
    expect(status.message).toBe('Usage of EmptyDir volume "v" exceeds the limit "1Mi". ');
  });
});
