import { type Need, type Needs, type NodeView, inOffers, noOffer } from '../cluster.ts';
import type { Plugin } from '../plugin.ts';

/** https://kubernetes.io/docs/reference/config-api/kube-scheduler-config.v1/#kubescheduler-config-k8s-io-v1-NodeResourcesFitArgs */
export interface ResourcesFitArgs {
  scoringStrategy?: ScoringStrategy;
  /** Resources that somebody else accounts. */
  ignoredResources?: string[];
  /** The same, by the part before the slash. */
  ignoredResourceGroups?: string[];
}

export interface ScoringStrategy {
  type?: 'LeastAllocated' | 'MostAllocated' | 'RequestedToCapacityRatio';
  resources?: { name: string; weight?: number }[];
  /** Utilization in percent to score of 0 to 10, ascending; straight lines between. */
  requestedToCapacityRatio?: { shape?: ShapePoint[] };
}

export interface ShapePoint {
  utilization: number;
  score: number;
}

const cpuAndMemory = [
  { name: 'cpu', weight: 1 },
  { name: 'memory', weight: 1 },
];

/** What the pod needs must be free in what is offered now; the strategy says which of the nodes that can give it is best. */
export function resourcesFit(args: ResourcesFitArgs = {}): Plugin {
  const { scoringStrategy = {}, ignoredResources = [], ignoredResourceGroups = [] } = args;
  const ignored = (resource: string) =>
    ignoredResources.includes(resource) || ignoredResourceGroups.includes(resource.split('/')[0]!);
  const isAnyIgnored = ignoredResources.length + ignoredResourceGroups.length > 0;
  return {
    name: 'NodeResourcesFit',
    filterGoesBy: ({ needs }) => needs,
    scoreGoesBy: ({ needs }) => needs,
    filter: ({ needs }) => fitTest(isAnyIgnored ? needs.filter(({ resource }) => !ignored(resource)) : needs),
    score: ({ needs }) => strategyScore(needs, scoringStrategy),
  };
}

function fitTest(needs: Needs) {
  return (node: NodeView): string | undefined => {
    if (node.unavailable === noOffer) return `${noOffer}${atQuota(node, needs)}`;
    if (node.unavailable) return node.unavailable;
    if (node.pods.size >= (node.allocatable.pods ?? Infinity)) return 'Too many pods';
    for (let i = 0; i < needs.length; i++) {
      const { resource, amount } = needs[i]!;
      if (amount > (node.free[resource] ?? 0)) return shortOf(node, needs[i]!);
    }
    return undefined;
  };
}

function strategyScore(needs: Needs, { type, resources, requestedToCapacityRatio }: ScoringStrategy) {
  if (!type && !resources?.length) return leastAllocated(needs);
  const worth = worthOf(type, requestedToCapacityRatio?.shape);
  const weighted = (resources?.length ? resources : cpuAndMemory).map(({ name, weight = 1 }) => ({
    name,
    weight,
    amount: amountIn(needs, name),
  }));
  return (node: NodeView): number => {
    let [sum, weights] = [0, 0];
    for (let i = 0; i < weighted.length; i++) {
      const { name, weight, amount } = weighted[i]!;
      if (!matters(node, name, amount)) continue;
      sum += weight * worth(freeShare(node, name, amount));
      weights += weight;
    }
    return weights === 0 ? 0 : sum / weights;
  };
}

/** The strategy nearly everybody has, without a detour. */
function leastAllocated(needs: Needs) {
  const [cpu, memory] = [amountIn(needs, 'cpu'), amountIn(needs, 'memory')];
  return (node: NodeView): number => (freeShare(node, 'cpu', cpu) + freeShare(node, 'memory', memory)) / 2;
}

/** From the share that stays free, in percent, to the score. */
function worthOf(type: ScoringStrategy['type'], shape: readonly ShapePoint[] = []): (free: number) => number {
  if (type === 'MostAllocated') return (free) => 100 - free;
  if (type !== 'RequestedToCapacityRatio') return (free) => free;
  return (free) => 10 * onShape(shape, 100 - free);
}

/** Straight lines through the points, level before the first and after the last. */
export function onShape(shape: readonly ShapePoint[], utilization: number): number {
  const after = shape.findIndex((point) => utilization <= point.utilization);
  if (after < 0) return shape.at(-1)?.score ?? 0;
  const [from, to] = [shape[after - 1], shape[after]!];
  if (!from) return to.score;
  const part = (utilization - from.utilization) / (to.utilization - from.utilization);
  return from.score + part * (to.score - from.score);
}

/** Tells apart what the node never had, or only its pods can give back, and what others hold of it now. */
function shortOf(node: NodeView, need: Need): string {
  const { resource, amount, isOnlyOffered } = need;
  const { allocatable, unoffered } = node;
  const isThere = isOnlyOffered || allocatable['cpu'] === undefined || amount <= (allocatable[resource] ?? 0);
  const mayCome = isThere && unoffered?.[resource] === undefined;
  return `Insufficient ${resource}${mayCome ? `${inOffers}${atQuota(node, [need])}` : ''}`;
}

/** That no offer can come, because the role may not have more; else nothing. */
function atQuota({ quota }: NodeView, needs: Needs): string {
  const isOver = quota && needs.some(({ resource, amount }) => amount > (quota.left[resource] ?? Infinity));
  return isOver ? ` (role ${quota.role} at its quota)` : '';
}

/** Only offers are missing: the pod waits for its turn, nothing is wrong with it. */
export const awaitsOffers = (reasons: Iterable<string>): boolean => {
  for (const reason of reasons) if (reason.startsWith(noOffer) || reason.includes(inOffers)) return true;
  return false;
};

export const amountIn = (needs: Needs, resource: string): number =>
  needs.find((n) => n.resource === resource)?.amount ?? 0;

const common = new Set(['cpu', 'memory', 'ephemeral-storage']);

/** A score is about what the node has, and about devices and the like only where the pod takes some. */
export const matters = ({ allocatable }: NodeView, resource: string, amount: number): boolean =>
  Boolean(allocatable[resource]) && (amount > 0 || common.has(resource));

/** Percent of the node's allocatable that would be left after taking `amount`. */
export function freeShare({ allocatable, free }: NodeView, resource: string, amount: number): number {
  const all = allocatable[resource] ?? 0;
  if (all === 0) return 0;
  return Math.max(0, Math.min(100, (100 * ((free[resource] ?? 0) - amount)) / all));
}
