import type { Kind } from '../api/kind.ts';
import { Pod } from '../api/kinds/pod.ts';
import { ReplicaSet } from '../api/kinds/replica-set.ts';
import { type Condition, type KubeObject, type LabelSelector, type Stored, timestamp } from '../api/meta.ts';
import type { PodTemplate } from '../api/pod-spec-defaults.ts';
import { type Reconciler, type World, ownerKeys, watching } from '../client/reconcile.ts';
import { slowStart } from './common/batch.ts';
import { byNamespace, claim, controllerReference, orphanKeys } from './common/ownership.ts';
import { unseen } from './common/own-writes.ts';
import { PodActions } from './common/pod-actions.ts';
import { deletionOrder, isActive, isAvailable, isReady, podFrom } from './common/pods.ts';

type StoredPod = Pod & Stored;

/** What ReplicaSets and ReplicationControllers have in common. */
export interface Replicated extends KubeObject {
  spec: { replicas?: number; minReadySeconds?: number; template?: PodTemplate };
  status?: {
    replicas?: number;
    fullyLabeledReplicas?: number;
    readyReplicas?: number;
    availableReplicas?: number;
    observedGeneration?: number;
    conditions?: Condition[];
  };
}

/** At most so many pods are made or deleted in one go. */
const burst = 500;

/** Keeps as many pods of a template as were asked for. */
export const replicaSets = (world: World): Reconciler =>
  replicas(world, 'replica-set', ReplicaSet, ({ spec }) => spec.selector);

/** The controller of any kind whose pods are alike and counted. */
export function replicas<T extends Replicated>(
  world: World,
  name: string,
  kind: Kind<T>,
  selectorOf: (set: T) => LabelSelector,
): Reconciler {
  const { client, informer, now } = world;
  const sets = informer(kind, { indexes: byNamespace });
  const pods = informer(Pod, { indexes: byNamespace });
  const actions = new PodActions(world, kind, pods);

  const resize = async (
    set: T & Stored,
    own: readonly StoredPod[],
    signal: AbortSignal,
  ): Promise<Error | undefined> => {
    if (set.metadata.deletionTimestamp || !set.spec.template) return undefined;
    const { create, remove } = planReplicas(set, own);
    const make = () => podFrom(set.spec.template!, set.metadata.name, set.metadata.namespace!);
    try {
      await slowStart(Array.from({ length: Math.min(burst, create) }, make), (pod) => actions.create(set, pod, signal));
      await Promise.all(remove.slice(0, burst).map((pod) => actions.remove(set, pod, signal)));
      return undefined;
    } catch (error) {
      return error as Error;
    }
  };

  return {
    name,
    concurrency: 8,
    watches: [watching(sets), watching(pods, ownerKeys(kind.kind)), watching(pods, orphanKeys(sets, selectorOf))],
    async reconcile(key, signal) {
      const set = sets.get(key);
      if (!set) return;
      if (!actions.settled(set)) return unseen;
      const candidates = pods.by('namespace', set.metadata.namespace!);
      const claims = { reference: controllerReference(kind, set), selector: selectorOf(set) };
      const own = await claim(client, Pod, candidates, set, claims, signal);
      const failure = await resize(set, own, signal);
      const status = statusOf(set, own, failure, now());
      if (status) await client.patch(kind, set.metadata, { status }, { subresource: 'status' }, signal);
      if (failure) throw failure;
      return waitsForAvailable(set, own, now());
    },
  };
}

/** How many pods are missing, or which are too many. */
export function planReplicas(set: Replicated, own: readonly StoredPod[]): { create: number; remove: StoredPod[] } {
  const active = own.filter(isActive);
  const surplus = active.length - (set.spec.replicas ?? 1);
  return surplus > 0
    ? { create: 0, remove: deletionOrder(active).slice(0, surplus) }
    : { create: -surplus, remove: [] };
}

/** What the set is like now; undefined when its status says so already. */
export function statusOf(
  set: Replicated,
  own: readonly Pod[],
  failure: Error | undefined,
  now: number,
): Replicated['status'] {
  const active = own.filter(isActive);
  const template = set.spec.template?.metadata?.labels ?? {};
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
function waitsForAvailable(set: Replicated, own: readonly Pod[], now: number): { again: number } | undefined {
  const min = set.spec.minReadySeconds ?? 0;
  return min > 0 && own.some((pod) => isReady(pod) && !isAvailable(pod, min, now)) ? { again: min * 1000 } : undefined;
}
