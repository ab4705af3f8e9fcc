import { zoneLabel, type Node } from '../../api/kinds/node.ts';
import type { Pod, TopologySpreadConstraint } from '../../api/kinds/pod.ts';
import { controllerOf } from '../../api/meta.ts';
import type { NodeView } from '../cluster.ts';
import { type Column, Columns, labelColumn, podColumn } from '../column.ts';
import type { Ask, Plugin } from '../plugin.ts';
import { alive, countColumn, namespaceOf, narrowed, selection } from '../pod-selection.ts';
import { tolerates } from '../tolerations.ts';
import { fitsAffinity } from './node-affinity.ts';

/** https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/ */
export interface TopologySpreadArgs {
  /** `System`: pods of a controller are spread over hosts and zones as well as may be. `List`: as `defaultConstraints` say. */
  defaultingType?: 'System' | 'List';
  defaultConstraints?: Omit<TopologySpreadConstraint, 'labelSelector'>[];
}

const systemDefaults = [
  { topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'ScheduleAnyway', maxSkew: 3 },
  { topologyKey: zoneLabel, whenUnsatisfiable: 'ScheduleAnyway', maxSkew: 5 },
] as const;

const violated = "node(s) didn't match pod topology spread constraints";
const unlabelled = `${violated} (missing required label)`;

interface Spread {
  constraint: Omit<TopologySpreadConstraint, 'labelSelector'>;
  /** How many such pods each node has. */
  counts(nodes: readonly NodeView[]): readonly number[];
  /** Whether the pod itself will be counted: 1 or 0. */
  self: number;
}

export function topologySpread({ defaultingType = 'System', defaultConstraints }: TopologySpreadArgs = {}): Plugin {
  const defaults = defaultingType === 'List' ? (defaultConstraints ?? []) : systemDefaults;
  const spreadsOf = (pod: Pod, when: TopologySpreadConstraint['whenUnsatisfiable']): Spread[] => {
    const own = pod.spec.topologySpreadConstraints ?? [];
    const spreads = own.length > 0 ? own.map((one) => ownSpread(pod, one)) : defaultSpreads(pod, defaults);
    return spreads.filter(({ constraint }) => constraint.whenUnsatisfiable === when);
  };
  return {
    name: 'PodTopologySpread',
    filter: (ask) => {
      const spreads = spreadsOf(ask.pod, 'DoNotSchedule');
      if (spreads.length === 0) return undefined;
      const tests = spreads.map((spread) => skewTest(ask, spread, spreads));
      return (node) => {
        for (const test of tests) {
          const reason = test(node);
          if (reason !== undefined) return reason;
        }
        return undefined;
      };
    },
    score: (ask) => {
      const spreads = spreadsOf(ask.pod, 'ScheduleAnyway');
      return spreads.length === 0
        ? undefined
        : softScore(ask, spreads, (ask.pod.spec.topologySpreadConstraints ?? []).length > 0);
    },
  };
}

function ownSpread(pod: Pod, constraint: TopologySpreadConstraint): Spread {
  const namespace = namespaceOf(pod);
  const { labelSelector, matchLabelKeys } = constraint;
  const all = selection(
    narrowed(labelSelector, pod, matchLabelKeys ? { matchLabelKeys } : {}),
    namespace,
    (other) => other === namespace,
  );
  return { constraint, counts: (nodes) => countColumn(alive(all)).of(nodes), self: all.has(pod) ? 1 : 0 };
}

/** Without constraints of its own a pod is spread among those of its controller. */
function defaultSpreads(pod: Pod, constraints: readonly Spread['constraint'][]): Spread[] {
  const owner = controllerOf(pod)?.uid;
  if (owner === undefined) return [];
  const counts = (nodes: readonly NodeView[]) => siblingColumn(owner).of(nodes);
  return constraints.map((constraint) => ({ constraint, counts, self: 1 }));
}

const siblings = new Columns<number>();
const siblingColumn = (owner: string): Column<number> =>
  siblings.get(owner, () => podColumn((node) => node.siblings(owner)));

/** Pods by domain, over the nodes that count: where the pod could go as the constraint sees it, with every key in question. */
function domainCounts(
  { pod, nodes }: Ask,
  { constraint, counts }: Spread,
  keys: readonly string[],
): Map<string, number> {
  const { topologyKey, nodeAffinityPolicy = 'Honor', nodeTaintsPolicy = 'Ignore' } = constraint;
  const fits = nodeAffinityPolicy === 'Honor' ? fitsAffinity(pod) : undefined;
  const values = labelColumn(topologyKey).of(nodes);
  const others = keys.filter((key) => key !== topologyKey).map((key) => labelColumn(key).of(nodes));
  const amounts = counts(nodes);
  const sums = new Map<string, number>();
  for (let i = 0; i < nodes.length; i++) {
    const value = values[i];
    if (value === undefined || others.some((column) => column[i] === undefined)) continue;
    const { node } = nodes[i]!;
    if (fits && !fits(node)) continue;
    if (nodeTaintsPolicy === 'Honor' && !toleratesAll(pod, node)) continue;
    sums.set(value, (sums.get(value) ?? 0) + amounts[i]!);
  }
  return sums;
}

const toleratesAll = ({ spec: { tolerations } }: Pod, { spec }: Node): boolean =>
  (spec?.taints ?? []).every((taint) => taint.effect === 'PreferNoSchedule' || tolerates(tolerations, taint));

function skewTest(ask: Ask, spread: Spread, all: readonly Spread[]) {
  const { topologyKey, maxSkew, minDomains = 1 } = spread.constraint;
  const keys = all.map(({ constraint }) => constraint.topologyKey);
  const counts = domainCounts(ask, spread, keys);
  const least = counts.size < minDomains ? 0 : minOf(counts.values());
  return ({ node }: NodeView): string | undefined => {
    const value = node.metadata.labels?.[topologyKey];
    if (value === undefined) return unlabelled;
    return (counts.get(value) ?? 0) + spread.self - (Number.isFinite(least) ? least : 0) > maxSkew
      ? violated
      : undefined;
  };
}

/** The fewer pods in a node's domains the better; a key with many domains counts more, as each pod in it weighs more there. */
function softScore(ask: Ask, spreads: readonly Spread[], needsAllKeys: boolean) {
  const { nodes, all = nodes, places = nodes.map((_, i) => i) } = ask;
  const keys = spreads.map(({ constraint }) => constraint.topologyKey);
  const costs: number[] = new Array<number>(nodes.length).fill(0);
  for (const spread of spreads) {
    const { topologyKey, maxSkew } = spread.constraint;
    const everywhere = labelColumn(topologyKey).of(all);
    const values = places.map((place) => everywhere[place]);
    const weight = Math.log(new Set(values.filter((value) => value !== undefined)).size + 2);
    // A host is a domain of its own: what runs on the candidates is enough.
    const isHost = topologyKey === hostname;
    const own = isHost ? spread.counts(all) : [];
    const counts = isHost
      ? undefined
      : domainCounts({ ...ask, nodes: all }, spread, needsAllKeys ? keys : [topologyKey]);
    for (let i = 0; i < nodes.length; i++) {
      const value = values[i];
      if (value === undefined) {
        if (needsAllKeys) costs[i] = NaN;
        continue;
      }
      const count = counts ? (counts.get(value) ?? 0) : own[places[i]!]!;
      costs[i]! += count * weight + maxSkew - 1;
    }
  }
  return fewestFirst(nodes, costs);
}

/** NaN is a node without a domain: the last choice. */
function fewestFirst(nodes: readonly NodeView[], costs: readonly number[]) {
  const known = costs.filter((cost) => !Number.isNaN(cost));
  const [least, most] = [minOf(known), maxOf(known)];
  if (known.length === costs.length && least === most) return undefined;
  const scores = new Map(
    costs.map((cost, i) => [
      nodes[i]!,
      Number.isNaN(cost) ? 0 : most === 0 ? 100 : (100 * (most + least - cost)) / most,
    ]),
  );
  return (node: NodeView): number => scores.get(node)!;
}

const hostname = 'kubernetes.io/hostname';

function minOf(numbers: Iterable<number>): number {
  let least = Infinity;
  for (const number of numbers) least = Math.min(least, number);
  return least;
}

function maxOf(numbers: Iterable<number>): number {
  let most = 0;
  for (const number of numbers) most = Math.max(most, number);
  return most;
}
