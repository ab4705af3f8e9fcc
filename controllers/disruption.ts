import { Deployment } from '../api/kinds/deployment.ts';
import { PodDisruptionBudget } from '../api/kinds/pod-disruption-budget.ts';
import { Pod } from '../api/kinds/pod.ts';
import { ReplicaSet } from '../api/kinds/replica-set.ts';
import { ReplicationController } from '../api/kinds/replication-controller.ts';
import { StatefulSet } from '../api/kinds/stateful-set.ts';
import { type Condition, type KubeObject, type OwnerReference, type Stored, controllerOf, keyOf } from '../api/meta.ts';
import { matchesLabelSelector } from '../api/selector.ts';
import type { Change } from '../client/informer.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { equal } from '../lib/equal.ts';
import { withCondition } from './common/conditions.ts';
import { byNamespace } from './common/ownership.ts';
import { isReady } from './common/pods.ts';
import { Scales } from './common/scales.ts';
import { resolveShare } from './common/share.ts';

type StoredBudget = PodDisruptionBudget & Stored;
type StoredPod = Pod & Stored;
type Status = NonNullable<PodDisruptionBudget['status']>;

/** Milliseconds after which an eviction that ended no pod is forgotten. */
const patience = 120_000;

/** Says how many pods may be disrupted now. Evictions take from it; this gives back. */
export function disruption(world: World): Reconciler {
  const { client, informer, events, now } = world;
  const budgets = informer(PodDisruptionBudget, { indexes: byNamespace });
  const pods = informer(Pod, { indexes: byNamespace });
  const deployments = informer(Deployment);
  const sets = informer(ReplicaSet);
  const statefulSets = informer(StatefulSet);
  const controllers = informer(ReplicationController);
  const scales = new Scales(client, now);

  /** How many pods the owner wants; undefined if it has no size, as a DaemonSet. */
  const sizeOf = async (namespace: string, owner: OwnerReference, signal: AbortSignal): Promise<Size | undefined> => {
    const key = `${namespace}/${owner.name}`;
    const known = { StatefulSet: statefulSets, ReplicationController: controllers }[owner.kind]?.get(key);
    if (known?.metadata.uid === owner.uid) return { uid: owner.uid, replicas: known.spec.replicas ?? 1 };
    const set = owner.kind === 'ReplicaSet' ? sets.get(key) : undefined;
    if (set?.metadata.uid === owner.uid) {
      const above = controllerOf(set);
      const deployment = above?.kind === 'Deployment' ? deployments.get(`${namespace}/${above.name}`) : undefined;
      const sizing = deployment ?? set;
      return { uid: sizing.metadata.uid, replicas: sizing.spec.replicas ?? 1 };
    }
    const scale = await scales.get(namespace, owner, signal);
    return scale && scale.metadata.uid === owner.uid
      ? { uid: owner.uid, replicas: scale.spec?.replicas ?? 0 }
      : undefined;
  };

  /** Throws an Error that says whose size is not known. */
  const expectedOf = async (budget: StoredBudget, own: readonly StoredPod[], signal: AbortSignal): Promise<number> => {
    const { minAvailable, maxUnavailable } = budget.spec ?? {};
    if (maxUnavailable === undefined && typeof minAvailable !== 'string') return own.length;
    const owners = new Map(own.flatMap((pod) => controllerOf(pod) ?? []).map((owner) => [owner.uid, owner]));
    const sizes = new Map<string, number>();
    for (const owner of owners.values()) {
      const size = await sizeOf(budget.metadata.namespace!, owner, signal);
      if (!size)
        throw new Error(`${owner.kind} ${owner.name} has no scale subresource: how many pods it wants is not known`);
      sizes.set(size.uid, size.replicas);
    }
    return [...sizes.values()].reduce((sum, replicas) => sum + replicas, 0);
  };

  const write = async (budget: StoredBudget, status: Status, signal: AbortSignal): Promise<void> => {
    if (equal({ disruptedPods: {}, ...status }, { disruptedPods: {}, ...budget.status })) return;
    await client.update(PodDisruptionBudget, { ...budget, status }, { subresource: 'status' }, signal);
  };

  const resized = (change: Change<Sized & Stored>): string[] =>
    change.type !== 'updated' || change.object.spec.replicas === change.old.spec.replicas
      ? []
      : budgets.by('namespace', change.object.metadata.namespace ?? '').map(keyOf);

  return {
    name: 'disruption',
    watches: [
      watching(budgets),
      watching(pods, budgetsOf(budgets)),
      watching(deployments, resized),
      watching(sets, resized),
      watching(statefulSets, resized),
      watching(controllers, resized),
    ],
    async reconcile(key, signal) {
      const budget = budgets.get(key);
      if (!budget || budget.metadata.deletionTimestamp) return;
      const own = pods
        .by('namespace', budget.metadata.namespace!)
        .filter(({ metadata }) => matchesLabelSelector(budget.spec?.selector, metadata.labels));
      const about = { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata: budget.metadata };
      try {
        const expected = await expectedOf(budget, own, signal);
        const status = budgetStatus(budget, own, expected, now());
        await write(budget, status, signal);
        return Object.keys(status.disruptedPods ?? {}).length > 0 ? { again: patience / 4 } : undefined;
      } catch (error) {
        if (!(error instanceof Error) || error.name !== 'Error') throw error;
        events.record(about, 'Warning', 'CalculateExpectedPodCountFailed', error.message);
        await write(budget, failedStatus(budget, error.message, now()), signal);
      }
    },
  };
}

interface Sized extends KubeObject {
  spec: { replicas?: number };
}

interface Size {
  uid: string;
  replicas: number;
}

/** `expected` is how many pods there should be. `now` in milliseconds. */
export function budgetStatus(
  budget: PodDisruptionBudget,
  own: readonly StoredPod[],
  expected: number,
  now: number,
): Status {
  const { minAvailable, maxUnavailable } = budget.spec ?? {};
  const desiredHealthy =
    maxUnavailable !== undefined
      ? Math.max(0, expected - resolveShare(maxUnavailable, expected, Math.ceil))
      : resolveShare(minAvailable, expected, Math.ceil);
  const disruptedPods = Object.fromEntries(
    Object.entries(budget.status?.disruptedPods ?? {}).filter(([name, time]) => {
      const pod = own.find(({ metadata }) => metadata.name === name);
      return pod && !pod.metadata.deletionTimestamp && now - Date.parse(time) < patience;
    }),
  );
  const currentHealthy = own.filter(
    (pod) => !pod.metadata.deletionTimestamp && !disruptedPods[pod.metadata.name] && isReady(pod),
  ).length;
  const spare = currentHealthy - desiredHealthy;
  const disruptionsAllowed = expected <= 0 ? 0 : Math.max(0, spare);
  const condition: Condition =
    disruptionsAllowed > 0
      ? { type: 'DisruptionAllowed', status: 'True', reason: 'SufficientPods' }
      : { type: 'DisruptionAllowed', status: 'False', reason: 'InsufficientPods' };
  return {
    disruptionsAllowed,
    currentHealthy,
    desiredHealthy,
    expectedPods: expected,
    ...(Object.keys(disruptedPods).length > 0 ? { disruptedPods } : {}),
    observedGeneration: budget.metadata.generation ?? 0,
    conditions: withCondition(budget, { ...condition, message: '' }, now),
  };
}

/** Nothing may be disrupted while it is not known how much there should be. */
function failedStatus(budget: PodDisruptionBudget, message: string, now: number): Status {
  const condition: Condition = { type: 'DisruptionAllowed', status: 'False', reason: 'SyncFailed', message };
  return {
    currentHealthy: 0,
    desiredHealthy: 0,
    expectedPods: 0,
    ...budget.status,
    disruptionsAllowed: 0,
    observedGeneration: budget.metadata.generation ?? 0,
    conditions: withCondition(budget, condition, now),
  };
}

/** Budgets that select the changed pod, or did. */
function budgetsOf(budgets: { by(index: string, value: string): StoredBudget[] }) {
  return (change: Change<StoredPod>): string[] => {
    const labels = [change.object.metadata.labels, ...(change.type === 'updated' ? [change.old.metadata.labels] : [])];
    return budgets
      .by('namespace', change.object.metadata.namespace ?? '')
      .filter(({ spec }) => labels.some((one) => matchesLabelSelector(spec?.selector, one)))
      .map(keyOf);
  };
}
