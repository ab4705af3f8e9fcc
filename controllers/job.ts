import { Job, jobLabels } from '../api/kinds/job.ts';
import { Pod } from '../api/kinds/pod.ts';
import { type KubeObject, type Stored, controllerOf } from '../api/meta.ts';
import { isNotFound } from '../api/status.ts';
import type { Change } from '../client/informer.ts';
import { type Reconciler, type World, ownerKeys, watching } from '../client/reconcile.ts';
import { equal } from '../lib/equal.ts';
import { slowStart } from './common/batch.ts';
import { isTracked, jobPod, tracking } from './common/job-pods.ts';
import { type JobPlan, conditionOf, isFinished, planJob } from './common/job-plan.ts';
import { byNamespace, claim, controllerReference, orphanKeys } from './common/ownership.ts';
import { unseen } from './common/own-writes.ts';
import { PodActions } from './common/pod-actions.ts';

type StoredJob = Job & Stored;
type StoredPod = Pod & Stored;

/** At most so many pods are made in one go. */
const burst = 500;

/** Pods that run until enough of them have succeeded. */
export function jobs(world: World): Reconciler {
  const { client, informer, now } = world;
  const all = informer(Job, { indexes: byNamespace });
  const pods = informer(Pod, { indexes: byNamespace });
  const actions = new PodActions(world, Job, pods);

  const release = async (pod: StoredPod, signal: AbortSignal): Promise<void> => {
    if (!isTracked(pod)) return;
    const { uid, resourceVersion, finalizers = [] } = pod.metadata;
    const patch = { metadata: { uid, resourceVersion, finalizers: finalizers.filter((name) => name !== tracking) } };
    await client.patch(Pod, pod.metadata, patch, {}, signal).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  };

  const isNewest = async ({ metadata }: StoredJob, signal: AbortSignal): Promise<boolean> =>
    (await client.get(Job, metadata, signal)).metadata.resourceVersion === metadata.resourceVersion;

  /** In this order, so that a crash in between counts nothing twice and forgets nothing. */
  const carryOut = async (job: StoredJob, plan: JobPlan, signal: AbortSignal): Promise<void> => {
    const news = !equal(withoutZeros(plan.status), withoutZeros(job.status));
    if (news) {
      const { resourceVersion } = job.metadata;
      const status = { ...emptied(job.status), ...plan.status };
      await client.patch(
        Job,
        job.metadata,
        { metadata: { resourceVersion }, status },
        { subresource: 'status' },
        signal,
      );
      tell(job, plan);
    }
    await Promise.all(plan.release.map((pod) => release(pod, signal)));
    await Promise.all(plan.stop.map((pod) => actions.remove(job, pod, signal)));
    await Promise.all(
      plan.spare.map(async (pod) => {
        await release(pod, signal);
        await actions.remove(job, pod, signal);
      }),
    );
    // A status that was written shows that our copy of the job is the newest. Without one an old copy, beside newer pods, would not
    // know of pods that have been counted and let go, and would make others in their place.
    if (plan.create.length > 0 && !news && !(await isNewest(job, signal))) return;
    await slowStart(plan.create.slice(0, burst), ({ index, ...before }) =>
      actions.create(job, jobPod(job, index, before), signal),
    );
  };

  const tell = (job: StoredJob, { status }: JobPlan) => {
    for (const { type, status: is, reason = '', message = '' } of status.conditions ?? []) {
      if (job.status?.conditions?.some((known) => known.type === type && known.status === is)) continue;
      if (type === 'Complete') actions.tell(job, 'Normal', 'Completed', 'Job completed');
      else if (type === 'Failed') actions.tell(job, 'Warning', reason, message);
      else if (type === 'Suspended') actions.tell(job, 'Normal', is === 'True' ? 'Suspended' : 'Resumed', message);
    }
  };

  /** Deletes what has been finished for long enough; milliseconds until it will have been. */
  const expire = async (job: StoredJob, signal: AbortSignal): Promise<{ again: number } | void> => {
    const left = timeToLive(job, now());
    if (left === undefined || job.metadata.deletionTimestamp) return;
    if (left > 0) return { again: left };
    const preconditions = { uid: job.metadata.uid };
    await client
      .delete(Job, job.metadata, { propagationPolicy: 'Foreground', preconditions }, signal)
      .catch((error: unknown) => {
        if (!isNotFound(error)) throw error;
      });
  };

  return {
    name: 'job',
    concurrency: 8,
    watches: [
      watching(all),
      watching(pods, ownerKeys('Job')),
      watching(
        pods,
        orphanKeys(all, ({ spec }) => spec.selector),
      ),
      watching(pods, leftBehind),
    ],
    async reconcile(key, signal) {
      const job = all.get(key);
      const [namespace = '', name = ''] = key.split('/');
      const mine = pods.by('namespace', namespace);
      if (!job) {
        const left = mine.filter((pod) => isTracked(pod) && jobNameOf(pod) === name);
        await Promise.all(left.map((pod) => release(pod, signal)));
        return;
      }
      const { managedBy = 'kubernetes.io/job-controller', selector = {} } = job.spec;
      if (managedBy !== 'kubernetes.io/job-controller') return;
      if (!actions.settled(job)) return unseen;
      if (job.metadata.deletionTimestamp || isFinished(job)) {
        const left = mine.filter((pod) => controllerOf(pod)?.uid === job.metadata.uid);
        await Promise.all(left.map((pod) => release(pod, signal)));
        return expire(job, signal);
      }
      const selection = { reference: controllerReference(Job, job), selector };
      const own = await claim(client, Pod, mine, job, selection, signal);
      const plan = planJob(job, own, now());
      await carryOut(job, plan, signal);
      return plan.again === undefined ? undefined : { again: plan.again };
    },
  };
}

/** Milliseconds that a finished job still has; undefined for ever. */
export function timeToLive(job: Job, now: number): number | undefined {
  const ttl = job.spec.ttlSecondsAfterFinished;
  const ended = conditionOf(job, 'Complete') ?? conditionOf(job, 'Failed');
  if (ttl === undefined || !ended) return undefined;
  return Math.max(0, Date.parse(ended.lastTransitionTime ?? '') + ttl * 1000 - now);
}

const jobNameOf = (pod: Pod): string | undefined => controllerOf(pod)?.name ?? pod.metadata.labels?.[jobLabels.jobName];

/** A pod that still wants to be counted, and has lost its job. */
function leftBehind({ type, object }: Change<KubeObject & Stored>): string[] {
  const name = object.metadata.labels?.[jobLabels.jobName];
  if (type === 'deleted' || !name || controllerOf(object) || !isTracked(object as Pod)) return [];
  return [`${object.metadata.namespace}/${name}`];
}

/** A merge patch removes what is null. */
const emptied = (status: Job['status']): Record<string, null> =>
  Object.fromEntries(Object.keys(status ?? {}).map((field) => [field, null]));

const withoutZeros = (status: Job['status']): Record<string, unknown> => {
  const { uncountedTerminatedPods: { succeeded = [], failed = [] } = {}, ...rest } = status ?? {};
  const shown = Object.entries(rest).filter(
    ([, value]) => value !== 0 && value !== '' && !(Array.isArray(value) && value.length === 0),
  );
  return { ...Object.fromEntries(shown), succeeded_: succeeded, failed_: failed };
};
