import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CronJob } from '../../api/kinds/cron-job.ts';
import { Job } from '../../api/kinds/job.ts';
import { type Stored, timestamp } from '../../api/meta.ts';
import { lastDue, parseSchedule } from '../../controllers/common/schedule.ts';
import { outdated, planCron } from '../../controllers/cron-job.ts';
import { eventually } from '../eventually.ts';
import { running, startControllers } from './harness.ts';

const ms = (time: string) => Date.parse(time);

test.each([
  ['*/5 * * * *', undefined, '2026-01-01T12:01:00Z', '2026-01-01T12:05:00Z'],
  ['0 9 * * mon-fri', 'UTC', '2026-01-03T00:00:00Z', '2026-01-05T09:00:00Z'],
  ['0 0 13 * 5', 'UTC', '2026-01-03T00:00:00Z', '2026-01-09T00:00:00Z'],
  ['@daily', 'UTC', '2026-01-01T12:00:00Z', '2026-01-02T00:00:00Z'],
  ['@every 90m', undefined, '2026-01-01T12:00:00Z', '2026-01-01T13:30:00Z'],
  ['0 9 ? * *', 'Asia/Tokyo', '2026-01-01T12:00:00Z', '2026-01-02T00:00:00Z'],
  ['TZ=Europe/Berlin 0 9 * * *', undefined, '2026-07-01T12:00:00Z', '2026-07-02T07:00:00Z'],
  // The clock goes from 2 to 3 on 29 March: there is no half past two.
  ['30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', '2026-03-30T00:30:00Z'],
  // And from 3 to 2 on 25 October: half past two comes, once.
  ['30 2 * * *', 'Europe/Berlin', '2026-10-25T00:30:00Z', '2026-10-26T01:30:00Z'],
])('%s (%s) after %s comes %s', (schedule, zone, after, next) =>
  expect(timestamp(parseSchedule(schedule, zone)(ms(after))!)).toBe(next),
);

test('a day that never comes is never, and a wrong schedule says what is wrong', () => {
  expect(parseSchedule('0 0 31 2 *')(0)).toBeUndefined();
  expect(() => parseSchedule('61 * * * *')).toThrow(/above maximum/);
});

test('the last of many missed times is found without counting all', () => {
  const from = ms('2000-01-01T00:00:00Z');
  expect(lastDue(parseSchedule('* * * * *'), from, ms('2026-01-01T12:00:30Z'))).toBe(ms('2026-01-01T12:00:00Z'));
  expect(lastDue(parseSchedule('0 0 29 2 *', 'UTC'), from, ms('2026-01-01T00:00:00Z'))).toBe(
    ms('2024-02-29T00:00:00Z'),
  );
});

const cronOf = (spec: Partial<CronJob['spec']>, status: CronJob['status'] = {}): CronJob => ({
  metadata: { name: 'c', creationTimestamp: '2026-01-01T11:59:00Z' },
  spec: {
    schedule: '0 * * * *',
    jobTemplate: { spec: { template: { spec: { containers: [] } } } },
    successfulJobsHistoryLimit: 1,
    failedJobsHistoryLimit: 0,
    ...spec,
  },
  status,
});

describe('a cron job', () => {
  const noon = ms('2026-01-01T12:00:00Z');
  test.each([
    ['waits for its time', {}, {}, -30_000, { again: 30_100 }],
    ['starts when its time has come', {}, {}, 5000, { again: 3_595_100, start: noon }],
    ['starts once', {}, { lastScheduleTime: '2026-01-01T12:00:00Z' }, 5000, { again: 3_595_100 }],
    ['starts late', {}, {}, 3_000_000, { again: 600_100, start: noon }],
    ['but not too late', { startingDeadlineSeconds: 60 }, {}, 3_000_000, { again: 600_100, missed: noon }],
    ['does nothing while suspended', { suspend: true }, {}, 5000, {}],
  ])('%s', (_what, spec, status, after, plan) =>
    expect(planCron(cronOf(spec, status), parseSchedule('0 * * * *', 'UTC'), noon + after)).toEqual(plan),
  );

  test('keeps as many finished jobs as it is told', () => {
    const job = (name: string, type: string): Job & Stored => ({
      metadata: { name, uid: name, resourceVersion: '1', creationTimestamp: '2026-01-01T11:00:00Z' },
      spec: { template: { spec: { containers: [] } } },
      status: { conditions: [{ type, status: 'True' }] },
    });
    const own = [job('c-2', 'Complete'), job('c-1', 'Complete'), job('c-3', 'Failed'), job('c-4', 'Suspended')];
    expect(outdated(cronOf({}), own).map(({ metadata }) => metadata.name)).toEqual(['c-1', 'c-3']);
  });
});

describe('against an apiserver', () => {
  let c: Awaited<ReturnType<typeof startControllers>>;
  beforeAll(async () => {
    c = await startControllers();
    await c.runPods(({ metadata: { labels = {} } }) =>
      labels['app'] === 'quick' ? { ...running(), phase: 'Succeeded' } : running(),
    );
  });
  afterAll(() => c.stop());
  const namespace = 'default';
  const make = (name: string, spec: Partial<CronJob['spec']>) =>
    c.client.create(CronJob, {
      metadata: { name, namespace },
      spec: {
        schedule: '@every 1s',
        jobTemplate: {
          spec: {
            template: {
              metadata: { labels: { app: name } },
              spec: { containers: [{ name: 'c', image: 'x' }], restartPolicy: 'Never' },
            },
          },
        },
        ...spec,
      },
    });
  const jobsOf = async (name: string) =>
    (await c.client.list(Job, { namespace })).items.filter(
      ({ metadata }) => metadata.ownerReferences?.[0]?.name === name,
    );
  const status = async (name: string) => (await c.client.get(CronJob, { namespace, name })).status;

  test('makes jobs when it is time, tells which are active and when one succeeded', async () => {
    await make('quick', {});
    await eventually(async () => {
      expect((await jobsOf('quick')).length).toBeGreaterThan(0);
      expect(await status('quick')).toMatchObject({
        lastScheduleTime: expect.any(String),
        lastSuccessfulTime: expect.any(String),
      });
    });
  });

  test('with Forbid starts none beside one that runs; suspended starts none at all', async () => {
    await make('alone', { concurrencyPolicy: 'Forbid' });
    await make('asleep', { suspend: true });
    await eventually(async () => expect((await status('alone'))?.active).toHaveLength(1));
    const [{ message = '' } = {}] = await eventually(async () => {
      const { items } = (await c.client.raw('GET', `/api/v1/namespaces/${namespace}/events`)) as {
        items: { reason: string; message: string }[];
      };
      const found = items.filter(({ reason }) => reason === 'JobAlreadyActive');
      expect(found.length).toBeGreaterThan(0);
      return found;
    });
    expect(message).toContain('Forbid');
    expect(await jobsOf('alone')).toHaveLength(1);
    expect(await jobsOf('asleep')).toHaveLength(0);
  });
});
