/**
 * Who has to go so that a pod of higher priority finds a place? Pure; https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/
 *
 *   each node: take away all pods of lower priority ─▶ does it fit? ─▶ give back as many as may stay ─▶ the rest are victims
 *   of the nodes: the one where that hurts least
 */
import { type Pod, isMirrorPod } from '../api/kinds/pod.ts';
import { matchesLabelSelector } from '../api/selector.ts';
import type { Needs } from './cluster.ts';
import { filtersOf, refusal, verdictsOf } from './verdicts.ts';
import { podColumn } from './column.ts';
import { minOf } from './extremes.ts';
import type { Ask, Budget, Weighted } from './plugin.ts';
import { namespaceOf } from './pod-selection.ts';
import { without } from './what-if.ts';

export interface Preemption {
  node: string;
  /** Most important first. */
  victims: Pod[];
}

interface Candidate extends Preemption {
  /** Victims whose disruption budget allows no more. */
  violations: number;
}

export const priorityOf = (pod: Pod): number => pod.spec.priority ?? 0;

/** Of the pods of each node that could be made to go; they are many, and mostly none is less important than the one that waits. */
const leastPriority = podColumn(({ pods }) => minOf([...pods.values()].filter(mayGo).map(priorityOf)));

/** A mirror only shows a pod that its kubelet keeps whatever becomes of the mirror. */
const mayGo = (pod: Pod): boolean => !isMirrorPod(pod);

/** Reasons that no absence of other pods could lift. */
const lasting =
  /^node\(s\) (were unschedulable|didn't match (the requested node name|Pod's node|scheduler-enforced)|had (untolerated|an unreachable)|were being)/;

/** Among how many nodes that would do the best is looked for: a part of all, in percent, and at least a number. */
export interface PreemptionArgs {
  minCandidateNodesPercentage?: number;
  minCandidateNodesAbsolute?: number;
}

/** The victims, or in words why nobody's going would help. `needsOf` is what a pod is accounted with. */
export function preempt(
  ask: Ask,
  profile: readonly Weighted[],
  needsOf: (pod: Pod) => Needs,
  { minCandidateNodesPercentage: percentage = 10, minCandidateNodesAbsolute: absolute = 100 }: PreemptionArgs = {},
): Preemption | string {
  const { pod, nodes } = ask;
  if (pod.spec.preemptionPolicy === 'Never') return `not eligible due to preemptionPolicy=Never.`;
  const candidates: Candidate[] = [];
  const { verdicts, filters } = verdictsOf(ask, profile);
  const present = filtersOf(ask, filters);
  const least = leastPriority.of(nodes);
  const enough = Math.max(1, absolute, Math.floor((nodes.length * percentage) / 100));
  let hopeless = 0;
  for (const [i, node] of nodes.entries()) {
    const verdict = verdicts[i]!;
    const reason = typeof verdict === 'string' ? verdict : refusal(node, present);
    if (reason !== undefined && lasting.test(reason)) hopeless += 1;
    else if (least[i]! < priorityOf(pod)) {
      const found = victimsOn(ask, profile, needsOf, i);
      if (found) candidates.push(found);
    }
    if (candidates.length === enough) break;
  }
  if (candidates.length > 0) return candidates.reduce((best, one) => (hurtsLess(one, best) ? one : best));
  const vain = nodes.length - hopeless;
  const reasons = [
    ...(vain > 0 ? [`${vain} No preemption victims found for incoming pod`] : []),
    ...(hopeless > 0 ? [`${hopeless} Preemption is not helpful for scheduling`] : []),
  ];
  return `0/${nodes.length} nodes are available: ${reasons.join(', ')}.`;
}

function victimsOn(
  ask: Ask,
  profile: readonly Weighted[],
  needsOf: (pod: Pod) => Needs,
  place: number,
): Candidate | undefined {
  const node = ask.nodes[place]!;
  const lower = [...node.pods.values()].filter((other) => priorityOf(other) < priorityOf(ask.pod) && mayGo(other));
  if (lower.length === 0) return undefined;
  const fits = (gone: ReadonlySet<Pod>) => {
    const view = without(node, gone, needsOf);
    return refusal(view, filtersOf({ ...ask, nodes: ask.nodes.with(place, view) }, profile)) === undefined;
  };
  const gone = new Set(lower);
  if (!fits(gone)) return undefined;
  const { violating, others } = byBudget(lower.sort(moreImportant), ask.world?.budgets?.() ?? []);
  // Those whose budget is used up are the first that may stay.
  const victims: Pod[] = [];
  let violations = 0;
  for (const other of [...violating, ...others]) {
    gone.delete(other);
    if (fits(gone)) continue;
    gone.add(other);
    victims.push(other);
    if (violating.includes(other)) violations += 1;
  }
  return { node: node.name, victims: victims.sort(moreImportant), violations };
}

/** Those that their budgets do not let go, in the order in which they would be asked. */
function byBudget(pods: readonly Pod[], budgets: readonly Budget[]): { violating: Pod[]; others: Pod[] } {
  const left = new Map(budgets.map((budget) => [budget, budget.allowed]));
  const [violating, others]: [Pod[], Pod[]] = [[], []];
  for (const pod of pods) {
    let violates = false;
    for (const budget of budgets) {
      const { namespace, selector, disrupted } = budget;
      if (namespace !== namespaceOf(pod) || !pod.metadata.labels || disrupted.has(pod.metadata.name ?? '')) continue;
      if (!matchesLabelSelector(selector, pod.metadata.labels)) continue;
      left.set(budget, left.get(budget)! - 1);
      if (left.get(budget)! < 0) violates = true;
    }
    (violates ? violating : others).push(pod);
  }
  return { violating, others };
}

const startOf = (pod: Pod): number => Date.parse(pod.status?.startTime ?? '') || Infinity;

/** Higher priority first, then who has run longer. */
const moreImportant = (a: Pod, b: Pod): number =>
  priorityOf(b) - priorityOf(a) || Math.sign(startOf(a) - startOf(b)) || 0;

/** Fewer budgets broken, lower highest priority, lower sum of priorities, fewer victims, the younger ones; else the first. */
function hurtsLess(a: Candidate, b: Candidate): boolean {
  const highest = ({ victims }: Candidate) => (victims[0] ? priorityOf(victims[0]) : -Infinity);
  // Priorities may be negative; more victims must not make the sum smaller.
  const sum = ({ victims }: Candidate) => victims.reduce((total, pod) => total + priorityOf(pod) + 2 ** 31, 0);
  const oldest = ({ victims }: Candidate) =>
    Math.min(...victims.filter((pod) => priorityOf(pod) === priorityOf(victims[0]!)).map(startOf));
  const order: [number, number][] = [
    [a.violations, b.violations],
    [highest(a), highest(b)],
    [sum(a), sum(b)],
    [a.victims.length, b.victims.length],
    [oldest(b), oldest(a)],
  ];
  const decisive = order.find(([one, other]) => one !== other);
  return decisive !== undefined && decisive[0] < decisive[1];
}
