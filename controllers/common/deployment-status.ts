import { equal } from '../../lib/equal.ts';
import type { Deployment } from '../../api/kinds/deployment.ts';
import type { ReplicaSet } from '../../api/kinds/replica-set.ts';
import { type Condition, type Stored, timestamp } from '../../api/meta.ts';
import { unavailableOf } from './rollout.ts';

type StoredSet = ReplicaSet & Stored;
type Status = NonNullable<Deployment['status']>;

const sum = (
  sets: readonly StoredSet[],
  of: (status: NonNullable<ReplicaSet['status']>) => number | undefined,
): number => sets.reduce((total, { status }) => total + (status ? (of(status) ?? 0) : 0), 0);

/** The status a deployment should show, whether that is news, and when to look again (milliseconds). */
export function deploymentStatus(
  deployment: Deployment,
  current: StoredSet | undefined,
  old: readonly StoredSet[],
  now: number,
): { status: Status; changed: boolean; again: number | undefined } {
  const sets = current ? [current, ...old] : old;
  const wanted = sets.reduce((total, set) => total + (set.spec.replicas ?? 0), 0);
  const available = sum(sets, (s) => s.availableReplicas);
  const before = deployment.status ?? {};
  const counts: Status = {
    observedGeneration: deployment.metadata.generation ?? 0,
    replicas: sum(sets, (s) => s.replicas),
    updatedReplicas: sum(current ? [current] : [], (s) => s.replicas),
    readyReplicas: sum(sets, (s) => s.readyReplicas),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, wanted - available),
    ...(before.collisionCount ? { collisionCount: before.collisionCount } : {}),
  };
  const progressing = progressCondition(deployment, counts, current, now);
  const fresh = [
    availableCondition(deployment, available),
    ...(progressing ? [progressing.condition] : []),
    ...failures(current),
  ];
  const conditions = fresh.map((condition) =>
    withTimes(condition, before.conditions ?? [], progressing?.moved ?? false, now),
  );
  const status = { ...counts, conditions };
  const changed = Object.entries(status).some(
    ([field, value]) => !equal(value || undefined, before[field as keyof Status] || undefined),
  );
  return { status, changed, again: progressing?.again };
}

function availableCondition(deployment: Deployment, available: number): Condition {
  return available >= (deployment.spec.replicas ?? 1) - unavailableOf(deployment)
    ? {
        type: 'Available',
        status: 'True',
        reason: 'MinimumReplicasAvailable',
        message: 'Deployment has minimum availability.',
      }
    : {
        type: 'Available',
        status: 'False',
        reason: 'MinimumReplicasUnavailable',
        message: 'Deployment does not have minimum availability.',
      };
}

function failures(current: StoredSet | undefined): Condition[] {
  const failure = current?.status?.conditions?.find(({ type }) => type === 'ReplicaFailure');
  return failure ? [failure] : [];
}

interface Progress {
  condition: Condition;
  /** Something got better since the last status. */
  moved: boolean;
  /** When the deadline will have passed, in milliseconds from now. */
  again: number | undefined;
}

function progressCondition(
  deployment: Deployment,
  counts: Status,
  current: StoredSet | undefined,
  now: number,
): Progress | undefined {
  const { spec, status: before = {} } = deployment;
  const known = before.conditions?.find(({ type }) => type === 'Progressing');
  const still = (condition: Condition, moved = false, again?: number): Progress => ({ condition, moved, again });
  if (spec.paused)
    return known
      ? still({ ...known, status: 'Unknown', reason: 'DeploymentPaused', message: 'Deployment is paused' })
      : undefined;
  const name = current ? `ReplicaSet "${current.metadata.name}"` : `Deployment "${deployment.metadata.name ?? ''}"`;
  const progressing = (reason: string, message: string): Condition => ({
    type: 'Progressing',
    status: 'True',
    reason,
    message,
  });
  const replicas = spec.replicas ?? 1;
  const complete =
    counts.updatedReplicas === replicas && counts.replicas === replicas && (counts.availableReplicas ?? 0) >= replicas;
  if (complete && current)
    return still(
      progressing('NewReplicaSetAvailable', `${name} has successfully progressed.`),
      known?.reason !== 'NewReplicaSetAvailable',
    );
  const moved =
    (counts.updatedReplicas ?? 0) > (before.updatedReplicas ?? 0) ||
    (counts.readyReplicas ?? 0) > (before.readyReplicas ?? 0) ||
    (counts.availableReplicas ?? 0) > (before.availableReplicas ?? 0) ||
    oldOf(counts) < oldOf(before) ||
    known?.reason === 'NewReplicaSetAvailable';
  const deadline = (spec.progressDeadlineSeconds ?? 600) * 1000;
  const since = known ? now - Date.parse(known.lastUpdateTime ?? known.lastTransitionTime ?? '') : 0;
  if (!moved && known && since > deadline)
    return still({
      type: 'Progressing',
      status: 'False',
      reason: 'ProgressDeadlineExceeded',
      message: `${name} has timed out progressing.`,
    });
  const again = Math.max(1000, deadline - (moved ? 0 : since) + 1000);
  if (!known || moved) return still(progressing('ReplicaSetUpdated', `${name} is progressing.`), true, again);
  return still(known, false, again);
}

const oldOf = (status: Status): number => (status.replicas ?? 0) - (status.updatedReplicas ?? 0);

/** Times change with the status (transition), or with the reason or progress (update). */
function withTimes(condition: Condition, before: readonly Condition[], moved: boolean, now: number): Condition {
  const known = before.find(({ type }) => type === condition.type);
  const time = timestamp(now);
  const same = known?.status === condition.status;
  const quiet =
    same &&
    known.reason === condition.reason &&
    known.message === condition.message &&
    !(moved && condition.type === 'Progressing');
  return {
    ...condition,
    lastUpdateTime: quiet ? (known.lastUpdateTime ?? time) : time,
    lastTransitionTime: same ? (known.lastTransitionTime ?? time) : time,
  };
}
