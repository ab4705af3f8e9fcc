import { CronJob } from '../api/kinds/cron-job.ts';
import type { ObjectReference } from '../api/kinds/event.ts';
import { Job } from '../api/kinds/job.ts';
import { type Stored, controllerOf, timestamp } from '../api/meta.ts';
import { isAlreadyExists, unlessNotFound } from '../api/status.ts';
import { type Reconciler, type World, ownerKeys, watching } from '../client/reconcile.ts';
import { equal } from '../lib/equal.ts';
import { conditionOf, isFinished } from './common/job-plan.ts';
import { byNamespace, controllerReference } from './common/ownership.ts';
import { type Schedule, lastDue, parseSchedule } from './common/schedule.ts';

type StoredCron = CronJob & Stored;
type StoredJob = Job & Stored;

const scheduledAt = 'batch.kubernetes.io/cronjob-scheduled-timestamp';

/** Makes Jobs at times. */
export function cronJobs(world: World): Reconciler {
  const { client, informer, events, now } = world;
  const all = informer(CronJob);
  const jobs = informer(Job, { indexes: byNamespace });
  const tell = (cron: StoredCron, type: 'Normal' | 'Warning', reason: string, message: string) =>
    events.record({ apiVersion: 'batch/v1', kind: 'CronJob', metadata: cron.metadata }, type, reason, message);

  const remove = async (job: StoredJob, signal: AbortSignal): Promise<void> => {
    const options = { propagationPolicy: 'Background' as const, preconditions: { uid: job.metadata.uid } };
    await client.delete(Job, job.metadata, options, signal).catch(unlessNotFound);
  };

  /** Jobs that the status names and our cache does not have yet. */
  const unseen = async (cron: StoredCron, own: readonly StoredJob[], signal: AbortSignal): Promise<StoredJob[]> => {
    const found: StoredJob[] = [];
    for (const { name, uid } of cron.status?.active ?? []) {
      if (own.some(({ metadata }) => metadata.uid === uid)) continue;
      if (!name) continue;
      const job = await client.get(Job, { namespace: cron.metadata.namespace, name }, signal).catch(unlessNotFound);
      if (job && job.metadata.uid === uid && !isFinished(job)) found.push(job);
    }
    return found;
  };

  /** The job of one time; one time has one name, so it is made once. */
  const create = async (cron: StoredCron, at: number, signal: AbortSignal): Promise<StoredJob | undefined> => {
    const job = jobAt(cron, at);
    try {
      const made = await client.create(Job, job, {}, signal);
      tell(cron, 'Normal', 'SuccessfulCreate', `Created job ${made.metadata.name}`);
      return made;
    } catch (error) {
      if (!isAlreadyExists(error)) {
        tell(cron, 'Warning', 'FailedCreate', `Error creating job: ${(error as Error).message}`);
        throw error;
      }
      const there = await client.get(Job, job.metadata, signal);
      return controllerOf(there)?.uid === cron.metadata.uid && !isFinished(there) ? there : undefined;
    }
  };

  const start = async (cron: StoredCron, at: number, active: readonly StoredJob[], signal: AbortSignal) => {
    const { concurrencyPolicy } = cron.spec;
    if (concurrencyPolicy === 'Forbid' && active.length > 0) {
      tell(
        cron,
        'Normal',
        'JobAlreadyActive',
        'Not starting job because prior execution is running and concurrency policy is Forbid',
      );
      return active;
    }
    const replaced = concurrencyPolicy === 'Replace' ? active : [];
    for (const job of replaced) {
      await remove(job, signal);
      tell(cron, 'Normal', 'SuccessfulDelete', `Deleted job ${job.metadata.name}`);
    }
    const made = await create(cron, at, signal);
    return [...active.filter((job) => !replaced.includes(job)), ...(made ? [made] : [])];
  };

  const write = async (cron: StoredCron, active: readonly StoredJob[], last: Times, signal: AbortSignal) => {
    const status = { active: active.map(referenceTo), ...last };
    if (equal(status, { active: [], ...cron.status })) return;
    const { resourceVersion } = cron.metadata;
    await client.patch(
      CronJob,
      cron.metadata,
      { metadata: { resourceVersion }, status },
      { subresource: 'status' },
      signal,
    );
  };

  return {
    name: 'cron-job',
    watches: [watching(all), watching(jobs, ownerKeys('CronJob'))],
    async reconcile(key, signal) {
      const cron = all.get(key);
      if (!cron || cron.metadata.deletionTimestamp) return;
      const own = jobs
        .by('namespace', cron.metadata.namespace!)
        .filter((job) => controllerOf(job)?.uid === cron.metadata.uid);
      for (const job of outdated(cron, own)) await remove(job, signal);
      const running = own.filter((job) => !isFinished(job) && !job.metadata.deletionTimestamp);
      const active = [...running, ...(await unseen(cron, own, signal))];
      const last = lastTimes(cron, own);
      let plan: CronPlan;
      try {
        plan = planCron(cron, parseSchedule(cron.spec.schedule, cron.spec.timeZone), now());
      } catch (error) {
        tell(
          cron,
          'Warning',
          'UnparseableSchedule',
          `unparseable schedule "${cron.spec.schedule}": ${(error as Error).message}`,
        );
        return write(cron, active, last, signal);
      }
      if (plan.missed !== undefined)
        tell(cron, 'Warning', 'MissSchedule', `Missed scheduled time to start a job: ${timestamp(plan.missed)}`);
      if (plan.start === undefined) {
        await write(cron, active, last, signal);
      } else {
        const started = await start(cron, plan.start, active, signal);
        const isHeld = started === active;
        await write(cron, started, isHeld ? last : { ...last, lastScheduleTime: timestamp(plan.start) }, signal);
      }
      return plan.again === undefined ? undefined : { again: plan.again };
    },
  };
}

interface CronPlan {
  /** The time for which a job is to be made now. */
  start?: number;
  /** A time that came and went: it is too late for it. */
  missed?: number;
  /** Milliseconds until the next time. */
  again?: number;
}

/** Of several times that were missed only the last one counts. */
export function planCron({ metadata, spec, status }: CronJob, schedule: Schedule, now: number): CronPlan {
  if (spec.suspend) return {};
  const { startingDeadlineSeconds } = spec;
  const last = Date.parse(status?.lastScheduleTime ?? metadata.creationTimestamp ?? '');
  const due = lastDue(schedule, last, now);
  const next = schedule(due ?? last);
  const wait: CronPlan = next === undefined ? {} : { again: Math.max(0, next - now) + 100 };
  if (due === undefined) return wait;
  const tooLate = startingDeadlineSeconds !== undefined && due + startingDeadlineSeconds * 1000 < now;
  return tooLate ? { ...wait, missed: due } : { ...wait, start: due };
}

interface Times {
  lastScheduleTime?: string;
  lastSuccessfulTime?: string;
}

function lastTimes({ status }: CronJob, own: readonly Job[]): Times {
  const succeeded = own.flatMap((job) => (conditionOf(job, 'Complete') ? (job.status?.completionTime ?? []) : []));
  const latest = [...succeeded, ...(status?.lastSuccessfulTime ? [status.lastSuccessfulTime] : [])].sort().at(-1);
  return {
    ...(status?.lastScheduleTime ? { lastScheduleTime: status.lastScheduleTime } : {}),
    ...(latest ? { lastSuccessfulTime: latest } : {}),
  };
}

/** Finished jobs beyond the limits, the oldest first. */
export function outdated({ spec }: CronJob, own: readonly StoredJob[]): StoredJob[] {
  const beyond = (type: string, limit: number | undefined) => {
    const ended = own
      .filter((job) => conditionOf(job, type) && !job.metadata.deletionTimestamp)
      .sort((a, b) => startOf(a) - startOf(b) || (a.metadata.name < b.metadata.name ? -1 : 1));
    return ended.slice(0, limit === undefined ? 0 : Math.max(0, ended.length - limit));
  };
  return [...beyond('Complete', spec.successfulJobsHistoryLimit), ...beyond('Failed', spec.failedJobsHistoryLimit)];
}

const startOf = ({ metadata, status }: StoredJob): number =>
  Date.parse(status?.startTime ?? metadata.creationTimestamp ?? '');

/** `at` in milliseconds; a job's name is that of its minute. */
export function jobAt(cron: StoredCron, at: number): Job {
  const { metadata, spec } = cron.spec.jobTemplate;
  return {
    metadata: {
      name: `${cron.metadata.name}-${Math.floor(at / 60_000)}`,
      namespace: cron.metadata.namespace!,
      ...(metadata?.labels ? { labels: metadata.labels } : {}),
      annotations: { ...metadata?.annotations, [scheduledAt]: timestamp(at) },
      ownerReferences: [controllerReference(CronJob, cron)],
    },
    spec: structuredClone(spec),
  };
}

const referenceTo = ({ metadata: { name, namespace, uid } }: StoredJob): ObjectReference => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  name,
  ...(namespace ? { namespace } : {}),
  uid,
});
