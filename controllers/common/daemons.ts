import type { DaemonSet } from '../../api/kinds/daemon-set.ts';
import type { Node } from '../../api/kinds/node.ts';
import { type NodeSelectorTerm, type Pod, type Toleration, isTerminal } from '../../api/kinds/pod.ts';
import type { Stored } from '../../api/meta.ts';
import { fitsAffinity, tolerates } from '../../api/node-selection.ts';
import { revisionLabel } from './history.ts';
import { isActive, isAvailable, isReady } from './pods.ts';
import { resolveShare } from './share.ts';

type StoredPod = Pod & Stored;
type StoredNode = Node & Stored;

const exists = (effect: 'NoSchedule' | 'NoExecute', name: string): Toleration => ({
  key: `node.kubernetes.io/${name}`,
  operator: 'Exists',
  effect,
});

/** Daemons stay where others are driven away. https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/ */
export function daemonTolerations({ tolerations = [], hostNetwork }: Pod['spec']): Toleration[] {
  return [
    ...tolerations,
    exists('NoExecute', 'not-ready'),
    exists('NoExecute', 'unreachable'),
    exists('NoSchedule', 'disk-pressure'),
    exists('NoSchedule', 'memory-pressure'),
    exists('NoSchedule', 'pid-pressure'),
    exists('NoSchedule', 'unschedulable'),
    ...(hostNetwork ? [exists('NoSchedule', 'network-unavailable')] : []),
  ];
}

/** The pod of one node: the scheduler may put it nowhere else. */
export function daemonPod({ metadata, spec: { template } }: DaemonSet & Stored, node: string, hash: string): Pod {
  const { affinity, ...spec } = structuredClone(template.spec);
  const required = 'requiredDuringSchedulingIgnoredDuringExecution';
  const here: NodeSelectorTerm['matchFields'] = [{ key: 'metadata.name', operator: 'In', values: [node] }];
  const terms = affinity?.nodeAffinity?.[required]?.nodeSelectorTerms ?? [{}];
  const nodeSelectorTerms = terms.map((term) => ({ ...term, matchFields: here }));
  return {
    metadata: {
      generateName: `${metadata.name}-`,
      namespace: metadata.namespace!,
      labels: { ...template.metadata?.labels, [revisionLabel]: hash },
      ...(template.metadata?.annotations ? { annotations: template.metadata.annotations } : {}),
    },
    spec: {
      ...spec,
      affinity: { ...affinity, nodeAffinity: { ...affinity?.nodeAffinity, [required]: { nodeSelectorTerms } } },
      tolerations: daemonTolerations(spec),
    },
  };
}

/** Where a daemon is or will be. */
export function nodeOf({ spec }: Pod): string | undefined {
  if (spec.nodeName) return spec.nodeName;
  const terms = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  return terms?.[0]?.matchFields?.find(({ key }) => key === 'metadata.name')?.values?.[0];
}

/** Whether a daemon belongs on the node, and whether one that is there may stay. */
export function belongs({ spec: { template } }: DaemonSet, node: StoredNode): { runs: boolean; stays: boolean } {
  const { spec } = template;
  const fits = fitsAffinity({ metadata: {}, spec });
  if ((spec.nodeName && spec.nodeName !== node.metadata.name) || (fits && !fits(node)))
    return { runs: false, stays: false };
  const tolerations = daemonTolerations(spec);
  const against = (node.spec?.taints ?? []).filter((taint) => !tolerates(tolerations, taint));
  return {
    runs: !against.some(({ effect }) => effect !== 'PreferNoSchedule'),
    stays: !against.some(({ effect }) => effect === 'NoExecute'),
  };
}

export interface DaemonPlan {
  /** Nodes that want a pod. */
  create: string[];
  remove: StoredPod[];
  /** Pods that have ended, to be replaced when it is their time: a crash loop is not made faster. */
  ended: StoredPod[];
  counts: DaemonCounts;
}

type DaemonCounts = Omit<NonNullable<DaemonSet['status']>, 'observedGeneration' | 'collisionCount' | 'conditions'>;

interface Place {
  node: StoredNode;
  runs: boolean;
  stays: boolean;
  pods: StoredPod[];
}

/** Which pods to make and delete, and what the status shows. `hash` is the label of pods with the template of now. */
export function planDaemons(
  set: DaemonSet,
  nodes: readonly StoredNode[],
  pods: readonly StoredPod[],
  hash: string,
  now: number,
): DaemonPlan {
  const here = Map.groupBy(pods, (pod) => nodeOf(pod) ?? '');
  const places = nodes.map((node): Place => ({
    node,
    ...belongs(set, node),
    pods: here.get(node.metadata.name) ?? [],
  }));
  const wanted = places.filter(({ runs }) => runs);
  const isNew = ({ metadata }: Pod) => metadata.labels?.[revisionLabel] === hash;
  const available = (pod: Pod) => isActive(pod) && isAvailable(pod, set.spec.minReadySeconds ?? 0, now);
  const judge: Judge = { isNew, available, surge: 0, unavailable: 0, rolls: false };
  const { type, rollingUpdate } = set.spec.updateStrategy ?? {};
  if (type !== 'OnDelete') {
    judge.rolls = true;
    judge.surge = resolveShare(rollingUpdate?.maxSurge ?? 0, wanted.length, Math.ceil);
    judge.unavailable = resolveShare(rollingUpdate?.maxUnavailable ?? 1, wanted.length, Math.ceil);
    if (judge.surge === 0) judge.unavailable ||= 1;
  }
  const kept = places.map((place) => placed(place, judge));
  const steps = kept.flatMap(({ create, remove }) => [...create, ...remove]);
  const rolled = steps.length === 0 && judge.rolls ? roll(wanted, judge) : { create: [], remove: [] };
  const known = new Set(nodes.map(({ metadata }) => metadata.name));
  const lost = pods.filter((pod) => !known.has(nodeOf(pod) ?? '') && !pod.spec.nodeName && isActive(pod));
  return {
    create: [...kept.flatMap(({ create }) => create), ...rolled.create],
    remove: [...kept.flatMap(({ remove }) => remove), ...rolled.remove, ...lost],
    ended: kept.flatMap(({ ended }) => ended),
    counts: countDaemons(places, judge),
  };
}

interface Judge {
  isNew: (pod: Pod) => boolean;
  available: (pod: Pod) => boolean;
  /** False with OnDelete. */
  rolls: boolean;
  surge: number;
  unavailable: number;
}

/** One node for itself: a pod where one belongs and none is, none where it does not, and of several the one to keep. */
function placed({ node, runs, stays, pods }: Place, judge: Judge): Pick<DaemonPlan, 'create' | 'remove' | 'ended'> {
  const staying = pods.filter(({ metadata }) => !metadata.deletionTimestamp);
  const ended = staying.filter(isTerminal);
  const active = staying.filter((pod) => !isTerminal(pod)).sort(byAge);
  if (!stays) return { create: [], remove: staying, ended: [] };
  const create = runs && pods.length === 0 ? [node.metadata.name] : [];
  const fresh = active.filter(judge.isNew);
  const old = active.filter((pod) => !judge.isNew(pod));
  if (judge.surge === 0 || fresh.length === 0 || old.length === 0) return { create, remove: active.slice(1), ended };
  // While one is replaced by a second beside it, the old one goes when the new one serves, or when it serves no more itself.
  const done = judge.available(fresh[0]!) || !judge.available(old[0]!);
  return { create, remove: [...fresh.slice(1), ...(done ? old : old.slice(1))], ended };
}

/** Replaces old pods: in place as many as may be missing, or beside them as many as may be too many. */
function roll(places: readonly Place[], { isNew, available, surge, unavailable }: Judge) {
  const active = places.map(({ node, pods }) => ({ node, pods, active: pods.filter(isActive) }));
  const outdated = active.filter((place) => place.active.length > 0 && !place.active.some(isNew));
  if (surge > 0) {
    // A node whose old pod does not serve loses nothing; the others wait for room.
    const [idle, serving] = [
      outdated.filter((p) => !p.active.some(available)),
      outdated.filter((p) => p.active.some(available)),
    ];
    const extra = active.filter((place) => place.active.some(isNew) && place.active.length > 1).length;
    const room = Math.max(0, surge - extra);
    return {
      create: [...idle, ...serving.slice(0, room)].map(({ node }) => node.metadata.name),
      remove: [] as StoredPod[],
    };
  }
  const missing = active.filter((place) => !place.active.some(available));
  const free = outdated.filter((place) => missing.includes(place));
  const serving = outdated.filter((place) => !missing.includes(place));
  const room = Math.max(0, unavailable - missing.length);
  return { create: [] as string[], remove: [...free, ...serving.slice(0, room)].flatMap((place) => place.active) };
}

function countDaemons(places: readonly Place[], { isNew, available }: Judge): DaemonCounts {
  const wanted = places.filter(({ runs }) => runs);
  const count = (test: (pod: Pod) => boolean) => wanted.filter(({ pods }) => pods.some(test)).length;
  const numberAvailable = count(available);
  return {
    desiredNumberScheduled: wanted.length,
    currentNumberScheduled: count(() => true),
    numberMisscheduled: places.filter(({ runs, pods }) => !runs && pods.some(isActive)).length,
    numberReady: count((pod) => isActive(pod) && isReady(pod)),
    updatedNumberScheduled: count((pod) => isActive(pod) && isNew(pod)),
    numberAvailable,
    numberUnavailable: wanted.length - numberAvailable,
  };
}

const byAge = (a: StoredPod, b: StoredPod): number =>
  Number(!a.spec.nodeName) - Number(!b.spec.nodeName) ||
  Date.parse(a.metadata.creationTimestamp ?? '') - Date.parse(b.metadata.creationTimestamp ?? '') ||
  (a.metadata.name < b.metadata.name ? -1 : 1);
