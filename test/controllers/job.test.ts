import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Job, type JobSpec, type JobStatus } from '../../api/kinds/job.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { type Stored, timestamp } from '../../api/meta.ts';
import { isNotFound } from '../../api/status.ts';
import { formatIndexes, parseIndexes } from '../../controllers/common/indexes.ts';
import { planJob } from '../../controllers/common/job-plan.ts';
import { failureRule, jobPod, tracking } from '../../controllers/common/job-pods.ts';
import { timeToLive } from '../../controllers/job.ts';
import { eventually } from '../eventually.ts';
import { running, startControllers } from './harness.ts';

const now = Date.parse('2026-01-01T12:00:00Z');
const stored = (name: string) => ({ name, uid: name, resourceVersion: '1', namespace: 'default' });
const template = { spec: { containers: [{ name: 'c' }], restartPolicy: 'Never' as const } };
type Given = { [Field in keyof JobSpec]?: JobSpec[Field] | undefined };
const jobOf = (spec: Given, status: JobStatus = {}): Job & Stored => ({
  metadata: stored('j'),
  spec: { parallelism: 2, completions: 3, backoffLimit: 6, completionMode: 'NonIndexed', template, ...spec } as JobSpec,
  status: { startTime: timestamp(now), ...status },
});

/**
 * `a s f t`: active, succeeded, failed, terminating; capitals are counted already. With a number it is the pod of that
 * index, `f1/2` after two failures of it. Failures are a minute old.
 */
const podsOf = (words: string): (Pod & Stored)[] =>
  words
    .split(' ')
    .filter((word) => word !== '')
    .map((word, i) => {
      const [, letter = '', index, before] = /^([a-zA-Z])(\d*)(?:\/(\d+))?$/.exec(word)!;
      const kind = letter.toLowerCase();
      const phase = kind === 's' ? ('Succeeded' as const) : kind === 'f' ? ('Failed' as const) : ('Running' as const);
      const end = { terminated: { exitCode: kind === 'f' ? 42 : 0, finishedAt: timestamp(now - 60_000) } };
      const status = { name: 'c', state: kind === 'a' ? {} : end, lastState: {}, ready: false, restartCount: 0 };
      return {
        metadata: {
          ...stored(`${word}.${i}`),
          finalizers: kind === letter ? [tracking] : [],
          annotations: {
            ...(index ? { 'batch.kubernetes.io/job-completion-index': index } : {}),
            ...(before ? { 'batch.kubernetes.io/job-index-failure-count': before } : {}),
          },
          ...(kind === 't' ? { deletionTimestamp: timestamp(now - 60_000) } : {}),
        },
        spec: { containers: [] },
        status: { phase, containerStatuses: [{ ...status, image: '', imageID: '' }] },
      };
    });

const names = (pods: readonly Stored[]) => pods.map(({ metadata }) => metadata.name);
const conditions = (status: JobStatus) => (status.conditions ?? []).map(({ type, status: is }) => `${type}=${is}`);

describe('the next step of a job', () => {
  test.each([
    // what, spec, status, pods, how many are made, let go, active, conditions
    ['starts as many as may run', {}, {}, '', 2, [], 2, []],
    ['no more than are left', { parallelism: 5 }, {}, '', 3, [], 3, []],
    ['starts the next when one has ended', {}, {}, 'a s', 1, ['s.1'], 2, []],
    ['starts none when the rest is at work', {}, { succeeded: 1 }, 'a a S', 0, [], 2, []],
    ['runs a queue of its own until one succeeds', { completions: undefined }, { succeeded: 1 }, 'a S', 0, [], 1, []],
    ['waits after a failure', { backoffLimit: 6 }, {}, 'f f f f a', 0, ['f.0', 'f.1', 'f.2', 'f.3'], 1, []],
    ['replaces after the wait', {}, {}, 'F a', 1, [], 2, []],
    ['replaces what is going', {}, {}, 't a', 1, ['t.0'], 2, []],
    ['or only what has failed', { podReplacementPolicy: 'Failed' as const }, {}, 't a', 0, [], 1, []],
    ['fails beyond its limit', { backoffLimit: 0 }, {}, 'a f', 0, ['f.1'], 0, ['FailureTarget=True']],
    [
      'is done when enough succeeded',
      {},
      { succeeded: 3 },
      'S S S',
      0,
      [],
      0,
      ['SuccessCriteriaMet=True', 'Complete=True'],
    ],
    ['waits until all ends are counted', {}, { succeeded: 2 }, 's', 0, ['s.0'], 0, ['SuccessCriteriaMet=True']],
    ['starts nothing while suspended', { suspend: true }, {}, '', 0, [], 0, ['Suspended=True']],
    ['ends in time', { activeDeadlineSeconds: 0 }, {}, 'a', 0, [], 0, ['FailureTarget=True']],
  ])('%s', (_what, spec, status, words, created, release, active, expected) => {
    const plan = planJob(jobOf(spec, status), podsOf(words), now);
    expect(plan.create).toHaveLength(created);
    expect(names(plan.release)).toEqual(release);
    expect(plan.status.active).toBe(active);
    expect(conditions(plan.status)).toEqual(expected);
  });

  test('stops what runs when it has failed, and says Failed when all is over', () => {
    const job = jobOf({ backoffLimit: 0 });
    const first = planJob(job, podsOf('a f'), now);
    expect(names(first.stop)).toEqual(['a.0']);
    expect(first.status.uncountedTerminatedPods).toEqual({ succeeded: [], failed: ['f.1'] });
    const second = planJob({ ...job, status: first.status }, podsOf('F'), now);
    expect(conditions(second.status)).toEqual(['FailureTarget=True', 'Failed=True']);
    expect(second.status).toMatchObject({ failed: 1, uncountedTerminatedPods: { failed: [] } });
  });

  test('counts a pod once, whatever order the news come in', () => {
    const job = jobOf({}, { succeeded: 1, uncountedTerminatedPods: { succeeded: ['gone', 's.0'] } });
    const { status } = planJob(job, podsOf('s'), now);
    expect(status).toMatchObject({ succeeded: 2, uncountedTerminatedPods: { succeeded: ['s.0'] } });
  });

  test('lets go of pods that are too many, uncounted, and starts anew when it is resumed', () => {
    const plan = planJob(jobOf({ suspend: true }), podsOf('a a'), now);
    expect(names(plan.spare)).toEqual(['a.0', 'a.1']);
    expect(plan.status.startTime).toBeUndefined();
    const resumed = planJob(jobOf({}, plan.status), [], now + 1000);
    expect(resumed.status.startTime).toBe(timestamp(now + 1000));
    expect(conditions(resumed.status)).toEqual(['Suspended=False']);
    expect(resumed.create).toHaveLength(2);
  });

  test('looks again when its deadline or the wait after a failure is over', () => {
    expect(planJob(jobOf({ activeDeadlineSeconds: 30 }), [], now).again).toBe(30_000);
    expect(planJob(jobOf({}), podsOf('F F F F'), now).again).toBe(20_000);
  });
});

describe('an indexed job', () => {
  const indexed = { completionMode: 'Indexed' as const };
  test.each([
    ['starts the lowest indexes', {}, {}, '', [0, 1], ''],
    ['goes on with what is left', {}, {}, 'a0 s1', [2], '1'],
    ['starts a failed index again', {}, { completedIndexes: '0' }, 'F1', [1, 2], '0'],
    ['is done with the indexes it had', {}, { completedIndexes: '0-2' }, '', [], '0-2'],
  ])('%s', (_what, spec, status, words, made, completed) => {
    const plan = planJob(jobOf({ ...indexed, ...spec }, status), podsOf(words), now);
    expect(plan.create.map(({ index }) => index)).toEqual(made);
    expect(plan.status.completedIndexes).toBe(completed);
  });

  test('lets go of a second pod of an index', () =>
    expect(names(planJob(jobOf(indexed), podsOf('a0 a0 a1'), now).spare)).toEqual(['a0.1']));

  test('gives up an index after its own limit, and fails when the others are done', () => {
    const spec = { ...indexed, backoffLimitPerIndex: 1, backoffLimit: 100 };
    const first = planJob(jobOf(spec), podsOf('f0/0 a1'), now);
    expect(first.create).toEqual([{ index: 0, failed: 1, ignored: 0 }]);
    expect(first.release).toEqual([]);
    const second = planJob(jobOf(spec, first.status), podsOf('f0/0 f0/1 a1'), now);
    expect(second.status.failedIndexes).toBe('0');
    expect(names(second.release)).toEqual(['f0/0.0', 'f0/1.1']);
    expect(second.create.map(({ index }) => index)).toEqual([2]);
    const last = planJob(jobOf(spec, { failedIndexes: '0', completedIndexes: '1,2', failed: 2 }), [], now);
    expect(last.status.conditions?.map(({ type, reason }) => `${type} ${reason}`)).toEqual([
      'FailureTarget FailedIndexes',
      'Failed FailedIndexes',
    ]);
  });

  test.each([
    [{ succeededIndexes: '1' }, '1', true],
    [{ succeededIndexes: '0-1', succeededCount: 1 }, '1', true],
    [{ succeededIndexes: '0-1' }, '1', false],
    [{ succeededCount: 2 }, '1', false],
  ])('with success policy %j and %s done is done: %s', (rule, completedIndexes, done) => {
    const job = jobOf({ ...indexed, successPolicy: { rules: [rule] } }, { completedIndexes });
    expect(conditions(planJob(job, [], now).status).includes('Complete=True')).toBe(done);
  });

  test('tells its pods their index, in every way', () => {
    const pod = jobPod(jobOf({ ...indexed, backoffLimitPerIndex: 1 }), 4, { failed: 1, ignored: 0 });
    expect(pod.metadata).toMatchObject({
      generateName: 'j-4-',
      finalizers: [tracking],
      labels: { 'batch.kubernetes.io/job-completion-index': '4', 'job-name': 'j', 'controller-uid': 'j' },
      annotations: {
        'batch.kubernetes.io/job-completion-index': '4',
        'batch.kubernetes.io/job-index-failure-count': '1',
      },
    });
    expect(pod.spec.hostname).toBe('j-4');
    expect(pod.spec.containers[0]!.env?.[0]?.name).toBe('JOB_COMPLETION_INDEX');
  });
});

describe('a failure policy', () => {
  const exit = (operator: 'In' | 'NotIn', values: number[]) => ({ onExitCodes: { operator, values } });
  const policy = (action: 'FailJob' | 'Ignore' | 'Count', rule: object) => ({
    podFailurePolicy: { rules: [{ action, ...rule }] },
    podReplacementPolicy: 'Failed' as const,
  });
  test.each([
    [exit('In', [42]), 'FailJob'],
    [exit('In', [1]), undefined],
    [exit('NotIn', [1]), 'FailJob'],
    [exit('NotIn', [42]), undefined],
    [{ onPodConditions: [{ type: 'DisruptionTarget' }] }, undefined],
  ])('with %j says %s of exit code 42', (rule, action) =>
    expect(failureRule(jobOf(policy('FailJob', rule)), podsOf('f')[0]!)?.action).toBe(action),
  );

  test('fails the job at once, or ignores the failure', () => {
    const failed = planJob(jobOf(policy('FailJob', exit('In', [42]))), podsOf('f'), now);
    expect(failed.status.conditions?.[0]).toMatchObject({ type: 'FailureTarget', reason: 'PodFailurePolicy' });
    const ignored = planJob(jobOf({ ...policy('Ignore', exit('In', [42])), backoffLimit: 0 }), podsOf('f'), now);
    expect(conditions(ignored.status)).toEqual([]);
    expect(names(ignored.release)).toEqual(['f.0']);
    expect(ignored.create).toHaveLength(2);
  });
});

test.each([
  ['', []],
  ['0', [0]],
  ['0,2', [0, 2]],
  ['0,1', [0, 1]],
  ['0-3,7', [0, 1, 2, 3, 7]],
])('indexes are written %j', (text, indexes) => {
  expect(formatIndexes(indexes)).toBe(text);
  expect([...parseIndexes(text)]).toEqual(indexes);
});

test('a finished job lives as long as it is told', () => {
  const ended = { conditions: [{ type: 'Complete', status: 'True' as const, lastTransitionTime: timestamp(now) }] };
  expect(timeToLive(jobOf({ ttlSecondsAfterFinished: 10 }, ended), now + 4000)).toBe(6000);
  expect(timeToLive(jobOf({ ttlSecondsAfterFinished: 10 }), now)).toBeUndefined();
  expect(timeToLive(jobOf({}, ended), now)).toBeUndefined();
});

describe('against an apiserver', () => {
  let c: Awaited<ReturnType<typeof startControllers>>;
  beforeAll(async () => {
    c = await startControllers();
    await c.runPods(({ metadata: { labels = {} } }) =>
      labels.ends ? { ...running(), phase: labels.ends as 'Succeeded' } : running(),
    );
  });
  afterAll(() => c.stop());
  const namespace = 'default';
  const make = (name: string, ends: string | undefined, spec: Partial<JobSpec> = {}) =>
    c.client.create(Job, {
      metadata: { name, namespace },
      spec: {
        template: {
          metadata: { labels: { app: name, ...(ends ? { ends } : {}) } },
          spec: { containers: [{ name: 'c', image: 'x' }], restartPolicy: 'Never' },
        },
        ...spec,
      },
    });
  const status = async (name: string) => (await c.client.get(Job, { namespace, name })).status!;

  test('a job completes, and counts each pod once', async () => {
    await make('done', 'Succeeded', { completions: 5, parallelism: 3 });
    await eventually(async () => expect(conditions(await status('done'))).toContain('Complete=True'));
    expect(await status('done')).toMatchObject({ succeeded: 5, completionTime: expect.any(String) });
    const pods = await c.podsOf('done');
    expect(pods).toHaveLength(5);
    expect(pods.flatMap(({ metadata }) => metadata.finalizers ?? [])).toEqual([]);
  });

  test('an indexed job completes every index', async () => {
    await make('indexed', 'Succeeded', { completions: 3, parallelism: 2, completionMode: 'Indexed' });
    await eventually(async () => expect(conditions(await status('indexed'))).toContain('Complete=True'));
    expect((await status('indexed')).completedIndexes).toBe('0-2');
  });

  test('a job that fails too often fails, and is deleted when its time has come', async () => {
    await make('fails', 'Failed', { backoffLimit: 0 });
    await eventually(async () => expect(conditions(await status('fails'))).toContain('Failed=True'));
    expect((await status('fails')).failed).toBe(1);
    await c.client.patch(Job, { namespace, name: 'fails' }, { spec: { ttlSecondsAfterFinished: 0 } });
    await eventually(async () => {
      expect(isNotFound(await status('fails').catch((e: unknown) => e))).toBe(true);
      expect(await c.podsOf('fails')).toEqual([]);
    });
  });

  test('a job can be suspended and resumed', async () => {
    await make('pause', undefined, { completions: 2, parallelism: 2 });
    await eventually(async () => expect(await status('pause')).toMatchObject({ active: 2, ready: 2 }));
    await c.client.patch(Job, { namespace, name: 'pause' }, { spec: { suspend: true } });
    await eventually(async () => {
      expect(await c.podsOf('pause')).toEqual([]);
      expect(conditions(await status('pause'))).toEqual(['Suspended=True']);
    });
    expect((await status('pause')).failed ?? 0).toBe(0);
    await c.client.patch(Job, { namespace, name: 'pause' }, { spec: { suspend: false } });
    await eventually(async () => expect((await status('pause')).active).toBe(2));
  });

  test('adopts matching orphans, releases pods that match no longer, and takes the rest with it', async () => {
    const { metadata } = await make('owner', undefined, { parallelism: 2, completions: 2 });
    const pods = await eventually(async () => {
      const found = await c.podsOf('owner');
      expect(found).toHaveLength(2);
      return found;
    });
    const owners = async (pod: Stored) =>
      (await c.client.get(Pod, pod.metadata)).metadata.ownerReferences?.map(({ uid }) => uid) ?? [];
    await c.client.patch(Pod, pods[0]!.metadata, { metadata: { ownerReferences: null } });
    await eventually(async () => expect(await owners(pods[0]!)).toEqual([metadata.uid]));
    await c.client.patch(Pod, pods[1]!.metadata, {
      metadata: { labels: { 'batch.kubernetes.io/controller-uid': null } },
    });
    await eventually(async () => expect(await owners(pods[1]!)).toEqual([]));
    await c.client.delete(Job, { namespace, name: 'owner' }, { propagationPolicy: 'Foreground' });
    await eventually(async () => {
      expect(isNotFound(await status('owner').catch((e: unknown) => e))).toBe(true);
      expect((await c.podsOf('owner')).map(({ metadata: { name } }) => name)).toEqual([pods[1]!.metadata.name]);
    });
  });

  test('a job that another controller manages is left alone', async () => {
    await make('foreign', undefined, { managedBy: 'example.com/batch' });
    await make('own', 'Succeeded');
    await eventually(async () => expect(conditions(await status('own'))).toContain('Complete=True'));
    expect(await c.podsOf('foreign')).toEqual([]);
  });
});
