import { ControllerRevision } from '../api/kinds/controller-revision.ts';
import { PersistentVolumeClaim } from '../api/kinds/persistent-volume-claim.ts';
import { Pod, isTerminal } from '../api/kinds/pod.ts';
import { StatefulSet } from '../api/kinds/stateful-set.ts';
import { type OwnerReference, type Stored, controllerOf, keyOf } from '../api/meta.ts';
import { isAlreadyExists } from '../api/status.ts';
import { type Reconciler, type World, ownerKeys, watching } from '../client/reconcile.ts';
import { equal } from '../lib/equal.ts';
import { slowStart } from './common/batch.ts';
import { type History, forgetHistory, keepHistory, templateOf } from './common/history.ts';
import { byNamespace, claim, controllerReference, orphanKeys } from './common/ownership.ts';
import { unseen } from './common/own-writes.ts';
import { PodActions } from './common/pod-actions.ts';
import { isActive, isAvailable, isReady } from './common/pods.ts';
import {
  type PodPlan,
  claimOwners,
  claimsOf,
  lostIdentity,
  ordinalOf,
  planPods,
  revisionOf,
  statefulPod,
} from './common/stateful-pods.ts';

type StoredPod = Pod & Stored;
type StoredSet = StatefulSet & Stored;

/** Pods with names and claims of their own, made and replaced in order. */
export function statefulSets(world: World): Reconciler {
  const { client, informer, now } = world;
  const sets = informer(StatefulSet, { indexes: byNamespace });
  const pods = informer(Pod, { indexes: byNamespace });
  const revisions = informer(ControllerRevision, { indexes: byNamespace });
  const claims = informer(PersistentVolumeClaim);
  const actions = new PodActions(world, StatefulSet, pods);

  /** False while a claim of this ordinal is going, or still belongs to the pod that had the name before. */
  const ensureClaims = async (set: StoredSet, ordinal: number, signal: AbortSignal): Promise<boolean> => {
    const podName = `${set.metadata.name}-${ordinal}`;
    for (const wanted of claimsOf(set, ordinal)) {
      const known = claims.get(`${wanted.metadata.namespace}/${wanted.metadata.name}`);
      const left = known?.metadata.ownerReferences?.some(({ kind, name }) => kind === 'Pod' && name === podName);
      if (known?.metadata.deletionTimestamp || left) return false;
      if (known) continue;
      wanted.metadata.ownerReferences = claimOwners(set, [], { set: referenceTo(set), pod: undefined }, false);
      await client.create(PersistentVolumeClaim, wanted, {}, signal).catch((error: unknown) => {
        if (!isAlreadyExists(error)) throw error;
      });
      const words = `create Claim ${wanted.metadata.name} Pod ${podName} in StatefulSet ${set.metadata.name} success`;
      actions.tell(set, 'Normal', 'SuccessfulCreate', words);
    }
    return true;
  };

  const keepOwners = async (set: StoredSet, own: readonly StoredPod[], signal: AbortSignal): Promise<void> => {
    const start = set.spec.ordinals?.start ?? 0;
    for (const pod of own) {
      const ordinal = ordinalOf(set, pod)!;
      const isSurplus = ordinal < start || ordinal >= start + (set.spec.replicas ?? 1);
      const references = { set: referenceTo(set), pod: podReference(pod) };
      for (const { metadata } of claimsOf(set, ordinal)) {
        const known = claims.get(`${metadata.namespace}/${metadata.name}`);
        if (!known || known.metadata.deletionTimestamp) continue;
        const before = known.metadata.ownerReferences ?? [];
        const ownerReferences = claimOwners(set, before, references, isSurplus);
        const { uid, resourceVersion } = known.metadata;
        if (!equal(before, ownerReferences))
          await client.patch(
            PersistentVolumeClaim,
            known.metadata,
            { metadata: { uid, resourceVersion, ownerReferences } },
            {},
            signal,
          );
      }
    }
  };

  /** Services and claims find the pod of an ordinal by its labels. */
  const keepIdentities = async (set: StoredSet, own: readonly StoredPod[], signal: AbortSignal): Promise<void> => {
    for (const pod of own) {
      const labels = pod.metadata.deletionTimestamp ? undefined : lostIdentity(set, pod);
      const { uid } = pod.metadata;
      if (labels) await client.patch(Pod, pod.metadata, { metadata: { uid, labels } }, {}, signal);
    }
  };

  /** A pod that waits may wait for a claim of its that somebody deleted. */
  const keepStorage = async (set: StoredSet, own: readonly StoredPod[], signal: AbortSignal): Promise<void> => {
    for (const pod of own)
      if (pod.status?.phase === 'Pending' && !pod.metadata.deletionTimestamp)
        await ensureClaims(set, ordinalOf(set, pod)!, signal);
  };

  const act = async (set: StoredSet, plan: PodPlan, history: Revisions, signal: AbortSignal): Promise<boolean> => {
    let stuck = false;
    await slowStart(plan.create, async ({ ordinal, revision }) => {
      if (!(await ensureClaims(set, ordinal, signal))) return void (stuck = true);
      const from = history[revision];
      await actions.create(set, statefulPod(set, templateOf(from), ordinal, from.metadata.name), signal);
    });
    await Promise.all(plan.remove.map((pod) => actions.remove(set, pod, signal)));
    return stuck;
  };

  const setsThatMiss = ({ metadata: { name, namespace = '' } }: PersistentVolumeClaim): string[] =>
    sets
      .by('namespace', namespace)
      .filter((set) =>
        (set.spec.volumeClaimTemplates ?? []).some((one) =>
          name?.startsWith(`${one.metadata.name}-${set.metadata.name}-`),
        ),
      )
      .map(keyOf);

  return {
    name: 'stateful-set',
    watches: [
      watching(sets),
      watching(pods, ownerKeys('StatefulSet')),
      watching(
        pods,
        orphanKeys(sets, ({ spec }) => spec.selector),
      ),
      watching(claims, ({ type, object }) => (type === 'deleted' ? setsThatMiss(object) : [])),
    ],
    async reconcile(key, signal) {
      const set = sets.get(key);
      if (!set) return;
      if (!actions.settled(set)) return unseen;
      const { namespace = '', deletionTimestamp } = set.metadata;
      const candidates = pods.by('namespace', namespace).filter((pod) => ordinalOf(set, pod) !== undefined);
      const selection = { reference: controllerReference(StatefulSet, set), selector: set.spec.selector };
      const own = await claim(client, Pod, candidates, set, selection, signal);
      if (deletionTimestamp) return;
      const known = revisions.by('namespace', namespace).filter((r) => controllerOf(r)?.uid === set.metadata.uid);
      const history = await keepHistory(client, StatefulSet, set, known, signal);
      const current = currentOf(set, history);
      await keepOwners(set, own, signal);
      await keepIdentities(set, own, signal);
      await keepStorage(set, own, signal);
      const plan = planPods(set, own, { current: current.metadata.name, update: history.update.metadata.name }, now());
      const status = statefulStatus(set, own, current.metadata.name, history, now());
      if (!equal(withoutZeros(status), withoutZeros(set.status)))
        await client.patch(StatefulSet, set.metadata, { status }, { subresource: 'status' }, signal);
      const stuck = await act(set, plan, { current, update: history.update }, signal);
      const inUse = new Set([current.metadata.name, history.update.metadata.name, ...own.map(revisionOf)]);
      const limit = set.spec.revisionHistoryLimit ?? 10;
      await forgetHistory(client, history.all, ({ metadata }) => inUse.has(metadata.name), limit, signal);
      return stuck ? { again: 1000 } : waits(set, own, now());
    },
  };
}

type Revisions = Record<'current' | 'update', History['update']>;

const currentOf = (set: StoredSet, { all, update }: History): History['update'] =>
  all.find(({ metadata }) => metadata.name === set.status?.currentRevision) ?? update;

/** A set owns claims without managing them. */
function referenceTo(set: StoredSet): OwnerReference {
  const { apiVersion, kind, name, uid } = controllerReference(StatefulSet, set);
  return { apiVersion, kind, name, uid };
}

const podReference = ({ metadata: { name, uid } }: StoredPod): OwnerReference => ({
  apiVersion: 'v1',
  kind: 'Pod',
  name,
  uid,
});

type Status = NonNullable<StatefulSet['status']>;

/** When every pod has the new template, the new revision is the current one. */
export function statefulStatus(
  set: StatefulSet,
  own: readonly Pod[],
  current: string,
  { update, collisionCount }: Pick<History, 'update' | 'collisionCount'>,
  now: number,
): Status {
  const count = (test: (pod: Pod) => boolean) => own.filter(test).length;
  const newest = update.metadata.name;
  const of = (revision: string) => count((pod) => isActive(pod) && revisionOf(pod) === revision);
  const replicas = own.length;
  const readyReplicas = count((pod) => !isTerminal(pod) && isReady(pod));
  const complete =
    set.spec.updateStrategy?.type !== 'OnDelete' &&
    of(newest) === replicas &&
    readyReplicas === replicas &&
    replicas === (set.spec.replicas ?? 1);
  return {
    replicas,
    observedGeneration: set.metadata.generation ?? 0,
    readyReplicas,
    availableReplicas: count((pod) => !isTerminal(pod) && isAvailable(pod, set.spec.minReadySeconds ?? 0, now)),
    currentReplicas: of(complete ? newest : current),
    updatedReplicas: of(newest),
    currentRevision: complete ? newest : current,
    updateRevision: newest,
    collisionCount,
    ...(set.status?.conditions ? { conditions: set.status.conditions } : {}),
  };
}

const withoutZeros = (status: Status | undefined): Record<string, unknown> =>
  Object.fromEntries(Object.entries(status ?? {}).filter(([field, value]) => value !== 0 || field === 'replicas'));

/** Pods that are ready but not long enough: look again then. */
function waits({ spec: { minReadySeconds = 0 } }: StatefulSet, own: readonly Pod[], now: number) {
  const young = own.some((pod) => isReady(pod) && !isAvailable(pod, minReadySeconds, now));
  return young ? { again: minReadySeconds * 1000 } : undefined;
}
