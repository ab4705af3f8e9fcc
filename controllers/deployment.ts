import { Deployment } from '../api/kinds/deployment.ts';
import { Pod } from '../api/kinds/pod.ts';
import { ReplicaSet } from '../api/kinds/replica-set.ts';
import { type Stored, controllerOf, keyOf } from '../api/meta.ts';
import { isAlreadyExists, unlessNotFound } from '../api/status.ts';
import { type Reconciler, type World, ownerKeys, watching } from '../client/reconcile.ts';
import { isActive } from './common/pods.ts';
import { claim, controllerReference } from './common/ownership.ts';
import {
  desiredAnnotation,
  maxReplicasAnnotation,
  newSetOf,
  nextRevision,
  outdated,
  revisionAnnotation,
  revisionOf,
  templateHash,
} from './common/revisions.ts';
import { type Scale, planRollout, surgeOf } from './common/rollout.ts';
import { deploymentStatus } from './common/deployment-status.ts';

type StoredDeployment = Deployment & Stored;
type StoredSet = ReplicaSet & Stored;

/** Moves pods from the old template to the new one, one ReplicaSet a template, as its strategy says. */
export function deployments({ client, informer, events, now }: World): Reconciler {
  const all = informer(Deployment);
  const sets = informer(ReplicaSet, { indexes: { namespace: (set) => [set.metadata.namespace ?? ''] } });
  const pods = informer(Pod);

  const createSet = async (
    deployment: StoredDeployment,
    revision: bigint,
    signal: AbortSignal,
  ): Promise<StoredSet | undefined> => {
    const hash = templateHash(deployment.spec.template, deployment.status?.collisionCount ?? 0);
    const labels = { ...deployment.spec.template.metadata?.labels, 'pod-template-hash': hash };
    const { selector } = deployment.spec;
    const set: ReplicaSet = {
      metadata: {
        name: `${deployment.metadata.name}-${hash}`,
        namespace: deployment.metadata.namespace!,
        labels,
        annotations: { ...inherited(deployment), ...sizes(deployment), [revisionAnnotation]: String(revision) },
        ownerReferences: [controllerReference(Deployment, deployment)],
      },
      spec: {
        replicas: 0,
        selector: { ...selector, matchLabels: { ...selector.matchLabels, 'pod-template-hash': hash } },
        template: { ...deployment.spec.template, metadata: { ...deployment.spec.template.metadata, labels } },
        ...(deployment.spec.minReadySeconds ? { minReadySeconds: deployment.spec.minReadySeconds } : {}),
      },
    };
    try {
      return await client.create(ReplicaSet, set, {}, signal);
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      // Another template has this hash, or our cache is old: the first needs a new hash, the second only a new look.
      const existing = await client.get(ReplicaSet, set.metadata, signal);
      const mine = controllerOf(existing)?.uid === deployment.metadata.uid && newSetOf(deployment, [existing]);
      if (mine) return existing;
      const collisionCount = (deployment.status?.collisionCount ?? 0) + 1;
      await client.patch(
        Deployment,
        deployment.metadata,
        { status: { collisionCount } },
        { subresource: 'status' },
        signal,
      );
      return undefined;
    }
  };

  const scale = async (deployment: StoredDeployment, { set, replicas }: Scale, signal: AbortSignal) => {
    const from = set.spec.replicas ?? 0;
    const { resourceVersion } = set.metadata;
    // Only what was decided on may be changed: a set that has moved on since is looked at again.
    await client.patch(
      ReplicaSet,
      set.metadata,
      { metadata: { resourceVersion, annotations: sizes(deployment) }, spec: { replicas } },
      {},
      signal,
    );
    const verb = replicas > from ? 'up' : 'down';
    const words = `Scaled ${verb} replica set ${set.metadata.name} from ${from} to ${replicas}`;
    if (from !== replicas) events.record(withKind(deployment), 'Normal', 'ScalingReplicaSet', words);
  };

  const cleanUp = async (deployment: StoredDeployment, old: readonly StoredSet[], signal: AbortSignal) => {
    for (const set of outdated(old, deployment.spec.revisionHistoryLimit ?? 10)) {
      await client
        .delete(ReplicaSet, set.metadata, { preconditions: { uid: set.metadata.uid } }, signal)
        .catch(unlessNotFound);
    }
  };

  /** Recreate starts nothing new while an old pod is still there. */
  const oldPodsLeft = (old: readonly StoredSet[]) =>
    old.some((set) => pods.ownedBy(set).some((pod) => isActive(pod) || pod.status?.phase === 'Running'));

  return {
    name: 'deployment',
    watches: [
      watching(all),
      watching(sets, ownerKeys('Deployment')),
      watching(pods, ({ type, object }) => (type === 'deleted' ? deploymentOf(object, sets) : [])),
    ],
    async reconcile(key, signal) {
      const deployment = all.get(key);
      if (!deployment) return;
      const candidates = sets.by('namespace', deployment.metadata.namespace!);
      const reference = controllerReference(Deployment, deployment);
      const own = await claim(
        client,
        ReplicaSet,
        candidates,
        deployment,
        { reference, selector: deployment.spec.selector },
        signal,
      );
      let current = newSetOf(deployment, own);
      const old = own.filter((set) => set !== current);
      if (!deployment.metadata.deletionTimestamp) {
        const revision = nextRevision(old);
        const waits = deployment.spec.strategy?.type === 'Recreate' && oldPodsLeft(old);
        if (!current && !deployment.spec.paused) {
          current = await createSet(deployment, revision, signal);
          if (!current) return;
        }
        if (current) await keepRevision(deployment, current, revision, signal);
        for (const step of planRollout(deployment, current, old, waits)) await scale(deployment, step, signal);
        await cleanUp(deployment, old, signal);
      }
      const status = deploymentStatus(deployment, current, old, now());
      if (status.changed)
        await client.patch(
          Deployment,
          deployment.metadata,
          { status: withoutZeros(status.status) },
          { subresource: 'status' },
          signal,
        );
      return status.again === undefined ? undefined : { again: status.again };
    },
  };

  async function keepRevision(
    deployment: StoredDeployment,
    current: StoredSet,
    revision: bigint,
    signal: AbortSignal,
  ): Promise<void> {
    const known = revisionOf(current);
    const shown = String(known > revision ? known : revision);
    if (known < revision)
      await client.patch(
        ReplicaSet,
        current.metadata,
        { metadata: { annotations: { ...inherited(deployment), [revisionAnnotation]: shown } } },
        {},
        signal,
      );
    // Through the door of status: a change of annotations through the main one counts as a new generation.
    if (deployment.metadata.annotations?.[revisionAnnotation] !== shown)
      await client.patch(
        Deployment,
        deployment.metadata,
        { metadata: { annotations: { [revisionAnnotation]: shown } } },
        { subresource: 'status' },
        signal,
      );
  }
}

/** Annotations of the deployment that its sets carry too: the change cause, for `rollout history`. */
function inherited({ metadata }: Deployment): Record<string, string> {
  const skip = new Set([
    'kubectl.kubernetes.io/last-applied-configuration',
    revisionAnnotation,
    desiredAnnotation,
    maxReplicasAnnotation,
  ]);
  return Object.fromEntries(Object.entries(metadata.annotations ?? {}).filter(([key]) => !skip.has(key)));
}

function sizes(deployment: Deployment): Record<string, string> {
  const replicas = deployment.spec.replicas ?? 1;
  return { [desiredAnnotation]: String(replicas), [maxReplicasAnnotation]: String(replicas + surgeOf(deployment)) };
}

function deploymentOf(pod: Pod & Stored, sets: { get(key: string): StoredSet | undefined }): string[] {
  const owner = controllerOf(pod);
  if (owner?.kind !== 'ReplicaSet') return [];
  const set = sets.get(`${pod.metadata.namespace}/${owner.name}`);
  const above = set && controllerOf(set);
  return set && above?.kind === 'Deployment'
    ? [keyOf({ metadata: { namespace: set.metadata.namespace!, name: above.name } })]
    : [];
}

/** Kubernetes leaves counts of zero out; in a patch that is null. */
const withoutZeros = (status: object): object =>
  Object.fromEntries(
    Object.entries(status).map(([field, value]: [string, unknown]) => [field, value === 0 ? null : value]),
  );

/** Objects of a list come without their kind; events name it. */
const withKind = (deployment: StoredDeployment): StoredDeployment => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  ...deployment,
});
