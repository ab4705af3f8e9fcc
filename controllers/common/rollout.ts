import type { Deployment } from '../../api/kinds/deployment.ts';
import type { ReplicaSet } from '../../api/kinds/replica-set.ts';
import type { Stored } from '../../api/meta.ts';
import { maxReplicasAnnotation } from './revisions.ts';
import { resolveShare } from './share.ts';

type StoredSet = ReplicaSet & Stored;

export interface Scale {
  set: StoredSet;
  replicas: number;
}

const wanted = (set: ReplicaSet): number => set.spec.replicas ?? 0;
const total = (sets: readonly ReplicaSet[]): number => sets.reduce((sum, set) => sum + wanted(set), 0);
/** Never more than are wanted: of a set that is being shrunk, the status still counts pods that are about to go. */
const available = (set: ReplicaSet): number => Math.min(set.status?.availableReplicas ?? 0, wanted(set));

/** How many pods a rollout may have beyond the wanted ones. */
export function surgeOf({ spec }: Deployment): number {
  if (spec.strategy?.type === 'Recreate') return 0;
  return resolveShare(spec.strategy?.rollingUpdate?.maxSurge ?? '25%', spec.replicas ?? 1, Math.ceil);
}

/** How many of the wanted pods a rollout may be without. */
export function unavailableOf(deployment: Deployment): number {
  const { spec } = deployment;
  if (spec.strategy?.type === 'Recreate') return 0;
  const count = resolveShare(spec.strategy?.rollingUpdate?.maxUnavailable ?? '25%', spec.replicas ?? 1, Math.floor);
  return count === 0 && surgeOf(deployment) === 0 ? 1 : Math.min(count, spec.replicas ?? 1);
}

/** The next steps towards the new template; applied in order, and asked for again after each change. */
export function planRollout(
  deployment: Deployment,
  current: StoredSet | undefined,
  old: readonly StoredSet[],
  oldPodsLeft: boolean,
): Scale[] {
  const sets = current ? [current, ...old] : old;
  const resized = proportional(deployment, sets);
  if (resized) return resized;
  if (deployment.spec.paused || !current) return [];
  return deployment.spec.strategy?.type === 'Recreate'
    ? recreate(deployment, current, old, oldPodsLeft)
    : rolling(deployment, current, old);
}

function recreate({ spec }: Deployment, current: StoredSet, old: readonly StoredSet[], oldPodsLeft: boolean): Scale[] {
  const down = old.filter((set) => wanted(set) > 0).map((set) => ({ set, replicas: 0 }));
  if (down.length > 0) return down;
  const replicas = spec.replicas ?? 1;
  return oldPodsLeft || wanted(current) === replicas ? [] : [{ set: current, replicas }];
}

function rolling(deployment: Deployment, current: StoredSet, old: readonly StoredSet[]): Scale[] {
  const replicas = deployment.spec.replicas ?? 1;
  if (wanted(current) > replicas) return [{ set: current, replicas }];
  const room = replicas + surgeOf(deployment) - total([current, ...old]);
  const grown = Math.min(replicas, wanted(current) + Math.max(0, room));
  const up = grown > wanted(current) ? [{ set: current, replicas: grown }] : [];
  return up.length > 0 ? up : shrinkOld(deployment, current, old);
}

/** Pods that are not available go first and cost nothing; then as many as may be missing. */
function shrinkOld(deployment: Deployment, current: StoredSet, old: readonly StoredSet[]): Scale[] {
  const replicas = deployment.spec.replicas ?? 1;
  const minAvailable = replicas - unavailableOf(deployment);
  const newUnavailable = wanted(current) - available(current);
  let budget = total([current, ...old]) - minAvailable - newUnavailable;
  const sizes = new Map(old.map((set) => [set, wanted(set)]));
  for (const set of old) {
    const cut = Math.max(0, Math.min(budget, wanted(set) - available(set)));
    sizes.set(set, wanted(set) - cut);
    budget -= cut;
  }
  let spare = [current, ...old].reduce((sum, set) => sum + available(set), 0) - minAvailable;
  for (const set of old) {
    const cut = Math.max(0, Math.min(spare, sizes.get(set)!));
    sizes.set(set, sizes.get(set)! - cut);
    spare -= cut;
  }
  return old.filter((set) => sizes.get(set) !== wanted(set)).map((set) => ({ set, replicas: sizes.get(set)! }));
}

/**
 * The deployment was resized while several sets have pods: each grows or shrinks by its share, so that a rollout under way
 * keeps its proportions. Undefined when nothing was resized.
 */
function proportional(deployment: Deployment, sets: readonly StoredSet[]): Scale[] | undefined {
  const active = sets.filter((set) => wanted(set) > 0);
  const allowed = (deployment.spec.replicas ?? 1) + surgeOf(deployment);
  const before = (set: StoredSet) => Number(set.metadata.annotations?.[maxReplicasAnnotation] ?? allowed);
  if (!active.some((set) => before(set) !== allowed)) return undefined;
  if (active.length === 1) return [{ set: active[0]!, replicas: deployment.spec.replicas ?? 1 }];
  if (deployment.spec.strategy?.type === 'Recreate') return undefined;
  let change = allowed - total(active);
  const grows = change > 0;
  const bySize = [...active].sort((a, b) => wanted(b) - wanted(a) || (grows ? younger(a, b) : younger(b, a)));
  const steps = bySize.map((set): Scale => {
    const share = Math.round((wanted(set) * allowed) / before(set)) - wanted(set);
    const part = grows ? Math.max(0, Math.min(change, share)) : Math.min(0, Math.max(change, share));
    change -= part;
    return { set, replicas: wanted(set) + part };
  });
  // What rounding left over goes to the largest.
  steps[0]!.replicas = Math.max(0, steps[0]!.replicas + change);
  return steps;
}

const younger = (a: StoredSet, b: StoredSet): number =>
  Date.parse(b.metadata.creationTimestamp ?? '') - Date.parse(a.metadata.creationTimestamp ?? '');
