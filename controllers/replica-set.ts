import { Pod } from '../api/kinds/pod.ts';
import { ReplicaSet } from '../api/kinds/replica-set.ts';
import { type Condition, type Stored, keyOf, timestamp } from '../api/meta.ts';
import { isForbidden, isNotFound } from '../api/status.ts';
import { type Reconciler, type World, ownerKeys, watching } from '../client/reconcile.ts';
import { slowStart } from './common/batch.ts';
import { Expectations } from './common/expectations.ts';
import { claim, controllerReference } from './common/ownership.ts';
import { deletionOrder, isActive, isAvailable, isReady, podFrom } from './common/pods.ts';

type StoredPod = Pod & Stored;
type StoredSet = ReplicaSet & Stored;

/** At most so many pods are made or deleted in one go. */
const burst = 500;

/** Keeps as many pods of a template as were asked for. */
export function replicaSets({ client, informer, events, now }: World): Reconciler {
  const sets = informer(ReplicaSet);
  const pods = informer(Pod, { indexes: { namespace: (pod) => [pod.metadata.namespace ?? ''] } });
  const expectations = new Expectations(pods, now);

  const create = async (set: StoredSet, key: string, signal: AbortSignal) => {
    const pod = podFrom(set.spec.template, set.metadata.name, set.metadata.namespace!);
    pod.metadata.ownerReferences = [controllerReference(ReplicaSet, set)];
    try {
      const created = await client.create(Pod, pod, {}, signal);
      expectations.created(key, created);
      events.record(withKind(set), 'Normal', 'SuccessfulCreate', `Created pod: ${created.metadata.name}`);
    } catch (error) {
      if (!isForbidden(error) && !isNotFound(error))
        events.record(withKind(set), 'Warning', 'FailedCreate', `Error creating: ${(error as Error).message}`);
      throw error;
    }
  };

  const remove = async (set: StoredSet, key: string, pod: StoredPod, signal: AbortSignal) => {
    try {
      await client.delete(Pod, pod.metadata, { preconditions: { uid: pod.metadata.uid } }, signal);
      expectations.deleted(key, pod);
      events.record(withKind(set), 'Normal', 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  };

  return {
    name: 'replica-set',
    concurrency: 8,
    watches: [
      watching(sets),
      watching(pods, ownerKeys('ReplicaSet')),
      watching(pods, ({ object }) =>
        object.metadata.ownerReferences?.length ? [] : setsMatching(sets.list(), object),
      ),
    ],
    async reconcile(key, signal) {
      const set = sets.get(key);
      if (!set || !expectations.met(key)) return;
      const candidates = pods.by('namespace', set.metadata.namespace!);
      const own = await claim(
        client,
        Pod,
        candidates,
        set,
        { reference: controllerReference(ReplicaSet, set), selector: set.spec.selector },
        signal,
      );
      const plan = planReplicas(set, own);
      let failure: Error | undefined;
      if (!set.metadata.deletionTimestamp) {
        try {
          await slowStart(Array.from({ length: Math.min(burst, plan.create) }), () => create(set, key, signal));
          await Promise.all(plan.remove.slice(0, burst).map((pod) => remove(set, key, pod, signal)));
        } catch (error) {
          failure = error as Error;
        }
      }
      const status = statusOf(set, own, failure, now());
      if (status) await client.patch(ReplicaSet, set.metadata, { status }, { subresource: 'status' }, signal);
      if (failure) throw failure;
      return waitsForAvailable(set, own, now());
    },
  };
}

/** How many pods are missing, or which are too many. */
export function planReplicas(set: ReplicaSet, own: readonly StoredPod[]): { create: number; remove: StoredPod[] } {
  const active = own.filter(isActive);
  const surplus = active.length - (set.spec.replicas ?? 1);
  return surplus > 0
    ? { create: 0, remove: deletionOrder(active).slice(0, surplus) }
    : { create: -surplus, remove: [] };
}

/** What the set is like now; undefined when its status says so already. */
export function statusOf(
  set: ReplicaSet,
  own: readonly Pod[],
  failure: Error | undefined,
  now: number,
): ReplicaSet['status'] {
  const active = own.filter(isActive);
  const template = set.spec.template.metadata?.labels ?? {};
  const status = {
    replicas: active.length,
    fullyLabeledReplicas: active.filter((pod) =>
      Object.entries(template).every(([k, v]) => pod.metadata.labels?.[k] === v),
    ).length,
    readyReplicas: active.filter(isReady).length,
    availableReplicas: active.filter((pod) => isAvailable(pod, set.spec.minReadySeconds ?? 0, now)).length,
    observedGeneration: set.metadata.generation ?? 0,
    conditions: failureCondition(set.status?.conditions ?? [], failure, now),
  };
  const old = set.status;
  const same =
    old?.replicas === status.replicas &&
    (old.fullyLabeledReplicas ?? 0) === status.fullyLabeledReplicas &&
    (old.readyReplicas ?? 0) === status.readyReplicas &&
    (old.availableReplicas ?? 0) === status.availableReplicas &&
    old.observedGeneration === status.observedGeneration &&
    JSON.stringify(old.conditions ?? []) === JSON.stringify(status.conditions);
  return same ? undefined : status;
}

function failureCondition(conditions: readonly Condition[], failure: Error | undefined, now: number): Condition[] {
  const others = conditions.filter(({ type }) => type !== 'ReplicaFailure');
  if (!failure) return others;
  const known = conditions.find(({ type }) => type === 'ReplicaFailure');
  const condition: Condition = {
    type: 'ReplicaFailure',
    status: 'True',
    reason: 'FailedCreate',
    message: failure.message,
  };
  return [...others, known?.message === failure.message ? known : { ...condition, lastTransitionTime: timestamp(now) }];
}

/** Pods that are ready but not long enough: look again then. */
function waitsForAvailable(set: ReplicaSet, own: readonly Pod[], now: number): { again: number } | undefined {
  const min = set.spec.minReadySeconds ?? 0;
  return min > 0 && own.some((pod) => isReady(pod) && !isAvailable(pod, min, now)) ? { again: min * 1000 } : undefined;
}

function setsMatching(sets: Iterable<StoredSet>, pod: StoredPod): string[] {
  const keys: string[] = [];
  for (const set of sets)
    if (set.metadata.namespace === pod.metadata.namespace && !pod.metadata.deletionTimestamp) {
      const wanted = Object.entries(set.spec.selector.matchLabels ?? {});
      if (wanted.every(([k, v]) => pod.metadata.labels?.[k] === v)) keys.push(keyOf(set));
    }
  return keys;
}

/** Objects of a list come without their kind; events name it. */
const withKind = (set: StoredSet): StoredSet => ({ apiVersion: 'apps/v1', kind: 'ReplicaSet', ...set });
