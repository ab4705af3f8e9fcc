import type { Job, JobStatus } from '../../api/kinds/job.ts';
import { type Pod, isTerminal } from '../../api/kinds/pod.ts';
import { type Condition, type Stored, timestamp } from '../../api/meta.ts';
import { formatIndexes, parseIndexes } from './indexes.ts';
import {
  endOf,
  failureRule,
  failuresBefore,
  hasFailed,
  ignoredBefore,
  indexOf,
  isIndexed,
  isTracked,
} from './job-pods.ts';
import { deletionOrder, isActive, isReady } from './pods.ts';

type StoredPod = Pod & Stored;

export interface JobPlan {
  status: JobStatus;
  /** Pods to let go of, once the status is written: their end is counted in it, or not to be counted. */
  release: StoredPod[];
  /** Pods to make: of which index, and after how many failures of it. */
  create: { index: number | undefined; failed: number; ignored: number }[];
  /** Pods that are too many; they are let go of first, so that they count as nothing. */
  spare: StoredPod[];
  /** Pods of a job that has come to its end: they count as what they end as. */
  stop: StoredPod[];
  /** Milliseconds until time alone changes something. */
  again: number | undefined;
}

/** What is known about the pods, those counted before included. */
interface Tally {
  succeeded: number;
  failed: number;
  uncounted: { succeeded: Set<string>; failed: Set<string> };
  completed: Set<number>;
  failedIndexes: Set<number>;
  release: StoredPod[];
  /** A failure that fails the job at once. */
  fatal: string | undefined;
}

const backoff = { first: 10_000, max: 600_000 };

export const conditionOf = (job: Job, type: string): Condition | undefined =>
  job.status?.conditions?.find((condition) => condition.type === type && condition.status === 'True');

export const isFinished = (job: Job): boolean => !!conditionOf(job, 'Complete') || !!conditionOf(job, 'Failed');

/**
 * Everything that happens to a job next. Each pod's end is counted once: its uid goes into the status, then its finalizer
 * goes, then the uid becomes a number. The plan must be carried out in the order status, release, the rest.
 */
export function planJob(job: Job, pods: readonly StoredPod[], now: number): JobPlan {
  const active = pods.filter((pod) => isActive(pod));
  const terminating = pods.filter((pod) => !isTerminal(pod) && pod.metadata.deletionTimestamp);
  const tally = count(job, pods);
  const suspended = job.spec.suspend === true;
  const resumed = !suspended && job.status?.conditions?.find(({ type }) => type === 'Suspended')?.status === 'True';
  const startTime = suspended ? undefined : resumed ? timestamp(now) : (job.status?.startTime ?? timestamp(now));
  const goal = goalOf(job, tally, active, startTime, now);
  const left = goal || suspended ? [] : missing(job, pods, tally, now);
  const wanted = wantedPods(job, tally, active.length);
  const open = job.spec.podReplacementPolicy === 'Failed' ? terminating.length : 0;
  const room = Math.max(0, wanted - active.length - open);
  const due = left.filter(({ at }) => at <= now).slice(0, room);
  const spare = goal ? [] : sparePods(job, active, suspended ? 0 : wanted, tally);
  const drained = tally.uncounted.succeeded.size + tally.uncounted.failed.size + tally.release.length === 0;
  const ended = goal && drained && active.length + terminating.length === 0 ? goal : undefined;
  const { completed, failedIndexes, uncounted } = tally;
  const status: JobStatus = {
    conditions: conditionsOf(job, { goal, ended, suspended }, now),
    ...(startTime ? { startTime } : {}),
    ...(ended?.type === 'SuccessCriteriaMet' ? { completionTime: timestamp(now) } : {}),
    active: active.length - spare.length - (goal ? active.length : 0) + due.length,
    ready: goal ? 0 : active.filter((pod) => isReady(pod) && !spare.includes(pod)).length,
    terminating: terminating.length + spare.length + (goal ? active.length : 0),
    succeeded: isIndexed(job) ? completed.size : tally.succeeded,
    failed: tally.failed,
    ...(isIndexed(job) ? { completedIndexes: formatIndexes(completed) } : {}),
    ...(job.spec.backoffLimitPerIndex === undefined ? {} : { failedIndexes: formatIndexes(failedIndexes) }),
    uncountedTerminatedPods: { succeeded: [...uncounted.succeeded], failed: [...uncounted.failed] },
  };
  return {
    status,
    // Whoever has failed for its index tells its successor how often: it stays until there is one.
    release: tally.release,
    create: due.map(({ index, failed, ignored }) => ({ index, failed, ignored })),
    spare,
    stop: goal ? active : [],
    again: nextLook(job, startTime, left.length > due.length && room > due.length ? left : [], now),
  };
}

function count(job: Job, pods: readonly StoredPod[]): Tally {
  const { status = {} } = job;
  const byUid = new Map(pods.map((pod) => [pod.metadata.uid, pod]));
  const pending = (uid: string) => byUid.has(uid) && isTracked(byUid.get(uid)!);
  const [succeeded, failed] = [
    status.uncountedTerminatedPods?.succeeded ?? [],
    status.uncountedTerminatedPods?.failed ?? [],
  ];
  const uncounted = { succeeded: new Set(succeeded.filter(pending)), failed: new Set(failed.filter(pending)) };
  const completions = job.spec.completions ?? 0;
  const tally: Tally = {
    succeeded: (status.succeeded ?? 0) + succeeded.length - uncounted.succeeded.size,
    failed: (status.failed ?? 0) + failed.length - uncounted.failed.size,
    uncounted,
    completed: new Set([...parseIndexes(status.completedIndexes)].filter((index) => index < completions)),
    failedIndexes: parseIndexes(status.failedIndexes),
    release: [],
    fatal: undefined,
  };
  const replaced = new Set(pods.map((pod) => `${indexOf(pod)}/${failuresBefore(pod)}`));
  for (const pod of pods.filter(isTracked)) countPod(job, pod, tally, replaced);
  return tally;
}

function countPod(job: Job, pod: StoredPod, tally: Tally, replaced: ReadonlySet<string>): void {
  const { uid } = pod.metadata;
  const index = indexOf(pod);
  if (pod.status?.phase === 'Succeeded') {
    if (isIndexed(job)) {
      if (index !== undefined && index < (job.spec.completions ?? 0)) tally.completed.add(index);
    } else tally.uncounted.succeeded.add(uid);
    tally.release.push(pod);
  } else if (hasFailed(job, pod)) {
    const rule = failureRule(job, pod);
    if (rule?.action === 'FailJob') tally.fatal ??= rule.words;
    const perIndex = job.spec.backoffLimitPerIndex;
    if (perIndex !== undefined && index !== undefined && rule?.action !== 'Ignore') {
      if (failuresBefore(pod) >= perIndex || rule?.action === 'FailIndex') tally.failedIndexes.add(index);
      else if (!replaced.has(`${index}/${failuresBefore(pod) + 1}`) && !isFinishing(job)) {
        tally.uncounted.failed.add(uid);
        return;
      }
    }
    if (rule?.action !== 'Ignore') tally.uncounted.failed.add(uid);
    tally.release.push(pod);
  }
}

const isFinishing = (job: Job): boolean =>
  !!conditionOf(job, 'FailureTarget') || !!conditionOf(job, 'SuccessCriteriaMet');

interface Goal {
  type: 'FailureTarget' | 'SuccessCriteriaMet';
  reason: string;
  message: string;
}

const totals = ({ succeeded, failed, uncounted }: Tally) => ({
  succeeded: succeeded + uncounted.succeeded.size,
  failed: failed + uncounted.failed.size,
});

/** Whether the job has come to its end, one way or the other. What was decided once stays. */
function goalOf(
  job: Job,
  tally: Tally,
  active: readonly StoredPod[],
  startTime: string | undefined,
  now: number,
): Goal | undefined {
  for (const type of ['FailureTarget', 'SuccessCriteriaMet'] as const) {
    const known = conditionOf(job, type);
    if (known) return { type, reason: known.reason ?? '', message: known.message ?? '' };
  }
  const failure = (reason: string, message: string): Goal => ({ type: 'FailureTarget', reason, message });
  const { spec } = job;
  const { failed } = totals(tally);
  if (tally.fatal) return failure('PodFailurePolicy', tally.fatal);
  const won = success(job, tally, active.length);
  if (won) return won;
  if (failed > (spec.backoffLimit ?? 6) || restartedTooOften(job, active))
    return failure('BackoffLimitExceeded', 'Job has reached the specified backoff limit');
  if (
    spec.activeDeadlineSeconds !== undefined &&
    startTime &&
    now - Date.parse(startTime) >= spec.activeDeadlineSeconds * 1000
  )
    return failure('DeadlineExceeded', 'Job was active longer than specified deadline');
  if (spec.maxFailedIndexes !== undefined && tally.failedIndexes.size > spec.maxFailedIndexes)
    return failure('MaxFailedIndexesExceeded', 'Job has exceeded the specified maximal number of failed indexes');
  const all = tally.failedIndexes.size + tally.completed.size >= (spec.completions ?? 0);
  return tally.failedIndexes.size > 0 && all && active.length === 0
    ? failure('FailedIndexes', 'Job has failed indexes')
    : undefined;
}

function success(job: Job, tally: Tally, active: number): Goal | undefined {
  const { spec } = job;
  const met = (reason: string, message: string): Goal => ({ type: 'SuccessCriteriaMet', reason, message });
  const rule = (spec.successPolicy?.rules ?? []).findIndex(({ succeededIndexes, succeededCount }) => {
    const among = succeededIndexes === undefined ? undefined : parseIndexes(succeededIndexes);
    const done = [...tally.completed].filter((index) => !among || among.has(index)).length;
    return done >= (succeededCount ?? among?.size ?? Infinity);
  });
  if (rule >= 0) return met('SuccessPolicy', `Matched rules at index ${rule}`);
  const succeeded = isIndexed(job) ? tally.completed.size : totals(tally).succeeded;
  const reached = spec.completions === undefined ? succeeded > 0 && active === 0 : succeeded >= spec.completions;
  return reached && !(spec.suspend && spec.completions === undefined)
    ? met('CompletionsReached', 'Reached expected number of succeeded pods')
    : undefined;
}

/** Containers that are started again in their pod count, too. */
function restartedTooOften({ spec }: Job, active: readonly StoredPod[]): boolean {
  if (spec.template.spec.restartPolicy !== 'OnFailure') return false;
  const restarts = active
    .flatMap(({ status }) => [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])])
    .reduce((sum, { restartCount }) => sum + restartCount, 0);
  const limit = spec.backoffLimit ?? 6;
  return limit === 0 ? restarts > 0 : restarts >= limit;
}

/** How many pods should be at work. */
function wantedPods({ spec, ...job }: Job, tally: Tally, active: number): number {
  const parallelism = spec.parallelism ?? 1;
  const { succeeded } = totals(tally);
  if (spec.completions === undefined) return succeeded > 0 ? Math.min(active, parallelism) : parallelism;
  const done = isIndexed({ spec, ...job }) ? tally.completed.size + tally.failedIndexes.size : succeeded;
  return Math.max(0, Math.min(parallelism, spec.completions - done));
}

interface Missing {
  index: number | undefined;
  failed: number;
  ignored: number;
  /** Not before this time, milliseconds: failures make it wait. */
  at: number;
}

function missing(job: Job, pods: readonly StoredPod[], tally: Tally, now: number): Missing[] {
  const { spec } = job;
  // Those that were let go of before they were deleted were too many, and failed nothing.
  const failed = pods.filter((pod) => hasFailed(job, pod) && (isTracked(pod) || !pod.metadata.deletionTimestamp));
  const lastSuccess = Math.max(0, ...pods.filter(({ status }) => status?.phase === 'Succeeded').map(endOf));
  if (!isIndexed(job)) {
    const at = notBefore(
      failed.filter((pod) => endOf(pod) > lastSuccess),
      now,
    );
    return Array.from({ length: spec.parallelism ?? 1 }, () => ({ index: undefined, failed: 0, ignored: 0, at }));
  }
  const onlyFailed = spec.podReplacementPolicy === 'Failed';
  const busy = new Set(pods.filter((pod) => (onlyFailed ? !isTerminal(pod) : isActive(pod))).map(indexOf));
  const perIndex = spec.backoffLimitPerIndex !== undefined;
  const common = perIndex
    ? 0
    : notBefore(
        failed.filter((pod) => endOf(pod) > lastSuccess),
        now,
      );
  const out: Missing[] = [];
  for (let index = 0; index < (spec.completions ?? 0) && out.length < (spec.parallelism ?? 1); index++) {
    if (busy.has(index) || tally.completed.has(index) || tally.failedIndexes.has(index)) continue;
    const before = failed.filter((pod) => indexOf(pod) === index);
    const last = before.toSorted(
      (a, b) => failuresBefore(b) - failuresBefore(a) || ignoredBefore(b) - ignoredBefore(a),
    )[0];
    const ignores = last && failureRule(job, last)?.action === 'Ignore';
    out.push({
      index,
      failed: perIndex && last ? failuresBefore(last) + (ignores ? 0 : 1) : 0,
      ignored: last ? ignoredBefore(last) + (ignores ? 1 : 0) : 0,
      at: perIndex ? notBefore(before, now) : common,
    });
  }
  return out;
}

/** Ten seconds after the first failure in a row, twice as long after each more. */
function notBefore(failures: readonly StoredPod[], now: number): number {
  if (failures.length === 0) return 0;
  const wait = Math.min(backoff.max, backoff.first * 2 ** (failures.length - 1));
  return Math.min(now, Math.max(...failures.map(endOf))) + wait;
}

/** Active pods that nobody needs: of an index that has ended or has another, or simply too many. */
function sparePods(job: Job, active: readonly StoredPod[], wanted: number, tally: Tally): StoredPod[] {
  const seen = new Set<number>();
  const needless = !isIndexed(job)
    ? []
    : active.filter((pod) => {
        const index = indexOf(pod);
        const needed =
          index !== undefined &&
          index < (job.spec.completions ?? 0) &&
          !seen.has(index) &&
          !tally.completed.has(index) &&
          !tally.failedIndexes.has(index);
        if (index !== undefined) seen.add(index);
        return !needed;
      });
  const rest = active.filter((pod) => !needless.includes(pod));
  return [...needless, ...deletionOrder(rest).slice(0, Math.max(0, rest.length - wanted))];
}

function conditionsOf(
  job: Job,
  { goal, ended, suspended }: { goal: Goal | undefined; ended: Goal | undefined; suspended: boolean },
  now: number,
): Condition[] {
  const conditions = new Map((job.status?.conditions ?? []).map((condition) => [condition.type, condition]));
  const set = (type: string, status: 'True' | 'False', reason: string, message: string) => {
    if (conditions.get(type)?.status === status) return;
    const time = timestamp(now);
    conditions.set(type, { type, status, reason, message, lastProbeTime: time, lastTransitionTime: time } as Condition);
  };
  if (goal) set(goal.type, 'True', goal.reason, goal.message);
  else if (suspended) set('Suspended', 'True', 'JobSuspended', 'Job suspended');
  else if (conditions.has('Suspended')) set('Suspended', 'False', 'JobResumed', 'Job resumed');
  if (ended) set(ended.type === 'FailureTarget' ? 'Failed' : 'Complete', 'True', ended.reason, ended.message);
  return [...conditions.values()];
}

function nextLook(
  { spec }: Job,
  startTime: string | undefined,
  waiting: readonly Missing[],
  now: number,
): number | undefined {
  const times = waiting.map(({ at }) => at).filter((at) => at > now);
  if (startTime && spec.activeDeadlineSeconds !== undefined)
    times.push(Date.parse(startTime) + spec.activeDeadlineSeconds * 1000);
  return times.length > 0 ? Math.max(10, Math.min(...times) - now) : undefined;
}
