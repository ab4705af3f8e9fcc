import type { PersistentVolumeClaim } from '../../api/kinds/persistent-volume-claim.ts';
import { type Pod, type Volume, isTerminal } from '../../api/kinds/pod.ts';
import type { StatefulSet } from '../../api/kinds/stateful-set.ts';
import type { OwnerReference, Stored } from '../../api/meta.ts';
import { resolveShare } from './share.ts';
import { revisionLabel } from './history.ts';
import { isActive, isAvailable } from './pods.ts';

type StoredPod = Pod & Stored;
type StoredSet = StatefulSet & Stored;

/** The number at the end of the pod's name, if it is one of the set's. */
export function ordinalOf(set: StatefulSet, { metadata }: Pod): number | undefined {
  const name = metadata.name ?? '';
  const prefix = `${set.metadata.name}-`;
  const number = name.slice(prefix.length);
  return name.startsWith(prefix) && /^(0|[1-9]\d*)$/.test(number) ? Number(number) : undefined;
}

const startOf = ({ spec }: StatefulSet): number => spec.ordinals?.start ?? 0;

export const revisionOf = ({ metadata }: Pod): string | undefined => metadata.labels?.[revisionLabel];

export interface PodPlan {
  /** Ordinals to fill, and with which of the two revisions. */
  create: { ordinal: number; revision: 'current' | 'update' }[];
  remove: StoredPod[];
}

/**
 * The next step of a set. In order (OrderedReady) it is one pod: the lowest ordinal that is missing or not well comes
 * first, then the highest that is too many, then the highest that has the old template. In parallel all ordinals are made
 * and all that are too many go at once; only updates wait for each other.
 */
export function planPods(
  set: StatefulSet,
  pods: readonly StoredPod[],
  revisions: { current: string; update: string },
  now: number,
): PodPlan {
  const byOrdinal = new Map(pods.map((pod) => [ordinalOf(set, pod), pod]));
  const start = startOf(set);
  const ordinals = Array.from({ length: set.spec.replicas ?? 1 }, (_, i) => start + i);
  const slots = ordinals.map((ordinal) => ({ ordinal, pod: byOrdinal.get(ordinal) }));
  const surplus = pods
    .filter((pod) => !ordinals.includes(ordinalOf(set, pod) ?? start))
    .sort((a, b) => ordinalOf(set, b)! - ordinalOf(set, a)!);
  const fill = (ordinal: number) => ({ ordinal, revision: revisionFor(set, ordinal, revisions) });
  const well = (pod: StoredPod) => isActive(pod) && isAvailable(pod, set.spec.minReadySeconds ?? 0, now);
  const ended = slots.flatMap(({ pod }) => (pod && isTerminal(pod) ? [pod] : []));
  if (set.spec.podManagementPolicy === 'Parallel') {
    const create = slots.filter(({ pod }) => !pod).map(({ ordinal }) => fill(ordinal));
    const remove = [...ended, ...surplus].filter(staying);
    if (create.length + remove.length > 0) return { create, remove };
  } else {
    const first = slots.find(({ pod }) => !pod || !well(pod));
    if (first && !first.pod) return { create: [fill(first.ordinal)], remove: [] };
    if (first?.pod) return { create: [], remove: isTerminal(first.pod) && staying(first.pod) ? [first.pod] : [] };
    if (surplus.length > 0) return { create: [], remove: nextSurplus(surplus, well) };
  }
  return {
    create: [],
    remove: outdatedPods(
      set,
      slots.map(({ pod }) => pod!),
      revisions.update,
      well,
    ),
  };
}

const staying = ({ metadata }: Pod): boolean => !metadata.deletionTimestamp;

/** The highest goes, when the one above it is gone; if it is not well, nothing below may be unwell either. */
function nextSurplus(surplus: readonly StoredPod[], well: (pod: StoredPod) => boolean): StoredPod[] {
  const [highest, ...lower] = surplus;
  if (!highest || !staying(highest)) return [];
  return well(highest) || lower.every(well) ? [highest] : [];
}

/** From the highest ordinal down to the partition, with at most `maxUnavailable` pods missing at a time. */
function outdatedPods(
  { spec }: StatefulSet,
  pods: readonly StoredPod[],
  update: string,
  well: (pod: StoredPod) => boolean,
): StoredPod[] {
  if (spec.updateStrategy?.type === 'OnDelete') return [];
  const { partition = 0, maxUnavailable = 1 } = spec.updateStrategy?.rollingUpdate ?? {};
  const most = Math.max(1, resolveShare(maxUnavailable, spec.replicas ?? 1, Math.floor));
  const remove: StoredPod[] = [];
  let missing = pods.filter((pod) => !well(pod)).length;
  let waiting = 0;
  for (const pod of pods.slice(partition).reverse()) {
    const outdated = revisionOf(pod) !== update && staying(pod);
    if (!outdated && well(pod)) continue;
    if (outdated) {
      if (well(pod) && ++missing > most) break;
      remove.push(pod);
    }
    if (++waiting >= most) break;
  }
  return remove;
}

/** Below the partition pods are made from the old template. */
function revisionFor(
  { spec, status, ...set }: StatefulSet,
  ordinal: number,
  { current, update }: { current: string; update: string },
): 'current' | 'update' {
  if (current === update || spec.updateStrategy?.type === 'OnDelete') return 'update';
  const partition = spec.updateStrategy?.rollingUpdate ? (spec.updateStrategy.rollingUpdate.partition ?? 0) : undefined;
  return ordinal < startOf({ spec, ...set }) + (partition ?? status?.currentReplicas ?? 0) ? 'current' : 'update';
}

const identity = (name: string, ordinal: number): Record<string, string> => ({
  'statefulset.kubernetes.io/pod-name': name,
  'apps.kubernetes.io/pod-index': String(ordinal),
});

/** The labels that say who the pod is, where somebody changed them; undefined when all is well. */
export function lostIdentity(set: StatefulSet, { metadata, spec }: StoredPod): Record<string, string> | undefined {
  const wanted = identity(metadata.name, ordinalOf(set, { metadata, spec })!);
  return Object.entries(wanted).every(([key, value]) => metadata.labels?.[key] === value) ? undefined : wanted;
}

/** The pod of one ordinal: its name, host name and claims are its own, whatever happens to it. */
export function statefulPod(
  set: StoredSet,
  template: StatefulSet['spec']['template'],
  ordinal: number,
  revision: string,
): Pod {
  const name = `${set.metadata.name}-${ordinal}`;
  const claims = (set.spec.volumeClaimTemplates ?? []).map((claim): Volume => ({
    name: claim.metadata.name!,
    persistentVolumeClaim: { claimName: claimName(set, claim, ordinal) },
  }));
  const others = (template.spec.volumes ?? []).filter(({ name: volume }) => !claims.some((c) => c.name === volume));
  const { serviceName } = set.spec;
  return {
    metadata: {
      name,
      namespace: set.metadata.namespace!,
      labels: {
        ...template.metadata?.labels,
        ...identity(name, ordinal),
        [revisionLabel]: revision,
      },
      ...(template.metadata?.annotations ? { annotations: { ...template.metadata.annotations } } : {}),
    },
    spec: {
      ...structuredClone(template.spec),
      hostname: name,
      ...(serviceName ? { subdomain: serviceName } : {}),
      ...(claims.length + others.length > 0 ? { volumes: [...claims, ...others] } : {}),
    },
  };
}

const claimName = (set: StatefulSet, claim: PersistentVolumeClaim, ordinal: number): string =>
  `${claim.metadata.name}-${set.metadata.name}-${ordinal}`;

/** The claims of one ordinal. */
export function claimsOf(set: StoredSet, ordinal: number): PersistentVolumeClaim[] {
  return (set.spec.volumeClaimTemplates ?? []).map((claim) => ({
    metadata: {
      name: claimName(set, claim, ordinal),
      namespace: set.metadata.namespace!,
      labels: { ...claim.metadata.labels, ...set.spec.selector.matchLabels },
      ...(claim.metadata.annotations ? { annotations: claim.metadata.annotations } : {}),
    },
    spec: claim.spec,
  }));
}

/**
 * Who owns a claim, so that the garbage collector deletes it in time: the set where claims go with it, the pod where they
 * go with a pod that is too many, nobody where they stay. Other owners are left alone.
 */
export function claimOwners(
  set: StatefulSet,
  owners: readonly OwnerReference[],
  references: { set: OwnerReference; pod: OwnerReference | undefined },
  isSurplus: boolean,
): OwnerReference[] {
  const { whenDeleted, whenScaled } = set.spec.persistentVolumeClaimRetentionPolicy ?? {};
  const byPod = whenScaled === 'Delete' && isSurplus;
  const bySet = whenDeleted === 'Delete' && !byPod;
  const others = owners.filter(({ uid }) => uid !== references.set.uid && uid !== references.pod?.uid);
  return [...others, ...(bySet ? [references.set] : []), ...(byPod && references.pod ? [references.pod] : [])];
}
