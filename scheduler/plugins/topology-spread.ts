import { zoneLabel, type Node } from '../../api/kinds/node.ts';
import type { Pod, TopologySpreadConstraint } from '../../api/kinds/pod.ts';
import { controllerOf } from '../../api/meta.ts';
import type { NodeView } from '../cluster.ts';
import { type Column, Columns, among, labelColumn, podColumn } from '../column.ts';
import { domainsOf } from '../domains.ts';
import { maxOf, minOf } from '../extremes.ts';
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

const siblings = new Columns<Column<number>>();
const siblingColumn = (owner: string): Column<number> =>
  siblings.get(owner, () => podColumn((node) => node.siblings(owner)));

/** Pods by the number of their domain, over the nodes that count: where the pod could go as the constraint sees it, with every key in question. NaN: there is no such node. */
function domainCounts({ pod, nodes }: Ask, { constraint, counts }: Spread, keys: readonly string[]): Float64Array {
  const { topologyKey, nodeAffinityPolicy = 'Honor', nodeTaintsPolicy = 'Ignore' } = constraint;
  const fits = nodeAffinityPolicy === 'Honor' ? fitsAffinity(pod) : undefined;
  const domains = domainsOf(topologyKey);
  const ids = domains.column(nodes).of(nodes);
  const others = keys.filter((key) => key !== topologyKey).map((key) => labelColumn(key).of(nodes));
  const amounts = counts(nodes);
  const sums = new Float64Array(domains.size).fill(NaN);
  for (let i = 0; i < nodes.length; i++) {
    const id = ids[i]!;
    if (id < 0 || others.some((column) => column[i] === undefined)) continue;
    if (fits && !fits(nodes[i]!.node)) continue;
    if (nodeTaintsPolicy === 'Honor' && !toleratesAll(pod, nodes[i]!.node)) continue;
    sums[id] = (sums[id]! || 0) + amounts[i]!;
  }
  return sums;
}

const toleratesAll = ({ spec: { tolerations } }: Pod, { spec }: Node): boolean =>
  (spec?.taints ?? []).every((taint) => taint.effect === 'PreferNoSchedule' || tolerates(tolerations, taint));

function skewTest(ask: Ask, spread: Spread, all: readonly Spread[]) {
  const { topologyKey, maxSkew, minDomains = 1 } = spread.constraint;
  const keys = all.map(({ constraint }) => constraint.topologyKey);
  const counts = domainCounts(ask, spread, keys);
  const domains = domainsOf(topologyKey);
  const known = counts.reduce((sum, count) => (Number.isNaN(count) ? sum : sum + 1), 0);
  const least = known < Math.max(1, minDomains) ? 0 : minOf(counts);
  return ({ node }: NodeView): string | undefined => {
    const value = node.metadata.labels?.[topologyKey];
    if (value === undefined) return unlabelled;
    return (counts[domains.idOf(value) ?? -1] || 0) + spread.self - least > maxSkew ? violated : undefined;
  };
}

/** The fewer pods in a node's domains the better; a key with many domains counts more, as each pod in it weighs more there. */
function softScore(ask: Ask, spreads: readonly Spread[], needsAllKeys: boolean) {
  const { nodes, all = nodes, places } = ask;
  const keys = spreads.map(({ constraint }) => constraint.topologyKey);
  const costs = new Float64Array(nodes.length);
  for (const spread of spreads) {
    const { topologyKey, maxSkew } = spread.constraint;
    const domains = domainsOf(topologyKey);
    const ids = among(ask, domains.column(all));
    const weight = Math.log(distinct(ids, domains.size) + 2);
    // A host is a domain of its own: what runs on the candidates is enough.
    const isHost = topologyKey === hostname;
    const counts = isHost
      ? spread.counts(all)
      : domainCounts({ ...ask, nodes: all }, spread, needsAllKeys ? keys : [topologyKey]);
    for (let i = 0; i < nodes.length; i++) {
      const id = ids[i]!;
      if (id < 0) {
        if (needsAllKeys) costs[i] = NaN;
        continue;
      }
      const count = counts[isHost ? (places ? places[i]! : i) : id] || 0;
      costs[i]! += count * weight + maxSkew - 1;
    }
  }
  return fewestFirst(costs);
}

/** How many of the domains there are, -1 being none. */
function distinct(ids: readonly number[], domains: number): number {
  const seen = new Uint8Array(domains);
  for (let i = 0; i < ids.length; i++) if (ids[i]! >= 0) seen[ids[i]!] = 1;
  let count = 0;
  for (let id = 0; id < domains; id++) count += seen[id]!;
  return count;
}

/** NaN is a node without a domain: the last choice. */
function fewestFirst(costs: Float64Array) {
  const [least, most] = [minOf(costs), Math.max(0, maxOf(costs))];
  if (least === most && !costs.some(Number.isNaN)) return undefined;
  return (_: NodeView, i: number): number => {
    const cost = costs[i]!;
    return Number.isNaN(cost) ? 0 : most === 0 ? 100 : (100 * (most + least - cost)) / most;
  };
}

const hostname = 'kubernetes.io/hostname';
