import type { Pod, PodAffinityTerm } from '../../api/kinds/pod.ts';
import { matchesLabelSelector } from '../../api/selector.ts';
import type { NodeView } from '../cluster.ts';
import { type Column, labelColumn, podColumn } from '../column.ts';
import { maxOf, minOf } from '../extremes.ts';
import type { Ask, Plugin, World } from '../plugin.ts';
import { type PodSelection, countColumn, namespaceOf, narrowed, selection } from '../pod-selection.ts';

/** https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity */
export interface InterPodAffinityArgs {
  /** How much a required affinity of a pod that runs counts for those it wants near; 0 to 100. */
  hardPodAffinityWeight?: number;
  /** Where a pod itself prefers nobody, what others want near does not count. */
  ignorePreferredTermsOfExistingPods?: boolean;
}

/** A term as it stands for the pod that has it. */
interface Term extends PodSelection {
  topologyKey: string;
}

/** What a pod demands and prefers of others. */
interface Demands {
  near: Term[];
  apart: Term[];
  /** Positive: would be near; negative: rather apart. */
  preferred: { term: Term; weight: number }[];
}

type Counted = Map<string, { term: Term; times: number }>;

const nobody: Demands = { near: [], apart: [], preferred: [] };

export function interPodAffinity(args: InterPodAffinityArgs = {}): Plugin {
  return { name: 'InterPodAffinity', filter, score: (ask) => score(ask, args) };
}

function filter(ask: Ask) {
  const { near, apart } = demandsOf(ask.pod, ask.world);
  const refused = refusedByOthers(ask);
  const nearTest = near.length > 0 ? nearby(ask, near) : undefined;
  const apartCounts = apart.map((term) => domainCounts(ask.nodes, term));
  if (!refused && !nearTest && apart.length === 0) return undefined;
  return ({ node }: NodeView): string | undefined => {
    const labels = node.metadata.labels ?? {};
    if (nearTest && !nearTest(labels)) return "node(s) didn't match pod affinity rules";
    for (const [i, { topologyKey }] of apart.entries())
      if ((apartCounts[i]!.get(labels[topologyKey] ?? '') ?? 0) > 0 && topologyKey in labels)
        return "node(s) didn't match pod anti-affinity rules";
    return refused?.(labels) ? "node(s) didn't satisfy existing pods anti-affinity rules" : undefined;
  };
}

type Labels = Readonly<Record<string, string>>;

/** All terms must find a pod in the node's domains that meets all of them; the first of its kind may go anywhere. */
function nearby({ pod, nodes }: Ask, terms: readonly Term[]): (labels: Labels) => boolean {
  const key = terms.map((term) => term.key).join(' & ');
  const all: PodSelection = { key, has: (one) => terms.every((term) => term.has(one)) };
  const counts = terms.map(({ topologyKey }) => domainCounts(nodes, { ...all, topologyKey }));
  const isFirst = counts.every((byValue) => byValue.size === 0) && all.has(pod);
  return (labels) =>
    terms.every(
      ({ topologyKey }, i) => topologyKey in labels && (isFirst || (counts[i]!.get(labels[topologyKey]!) ?? 0) > 0),
    );
}

/** Pods that a term means, by the value of its topology key; only values with some. */
function domainCounts(nodes: readonly NodeView[], term: Term): Map<string, number> {
  const column = countColumn(term);
  const [some, amounts] = [column.someOf(nodes), column.of(nodes)];
  const values = labelColumn(term.topologyKey).of(nodes);
  const counts = new Map<string, number>();
  for (const i of some) {
    const value = values[i];
    if (value !== undefined) counts.set(value, (counts.get(value) ?? 0) + amounts[i]!);
  }
  return counts;
}

/** Domains where a pod runs that does not want this one near. */
function refusedByOthers({ pod, nodes, world }: Ask): ((labels: Labels) => boolean) | undefined {
  const meant = memo(pod);
  const refused = new Map<string, Set<string>>();
  for (const [i, { apart }] of othersOn(nodes, world)) {
    for (const { term } of apart.values()) {
      const value = nodes[i]!.node.metadata.labels?.[term.topologyKey];
      if (value === undefined || !meant(term)) continue;
      const values = refused.get(term.topologyKey);
      if (values) values.add(value);
      else refused.set(term.topologyKey, new Set([value]));
    }
  }
  if (refused.size === 0) return undefined;
  const keys = [...refused];
  return (labels) => keys.some(([key, values]) => key in labels && values.has(labels[key]!));
}

/** Whether a term means the pod, asked once a term. */
function memo(pod: Pod): (term: Term) => boolean {
  const known = new Map<Term, boolean>();
  return (term) => {
    let is = known.get(term);
    if (is === undefined) known.set(term, (is = term.has(pod)));
    return is;
  };
}

function score({ pod, nodes, all = nodes, world }: Ask, args: InterPodAffinityArgs) {
  const { hardPodAffinityWeight = 1, ignorePreferredTermsOfExistingPods = false } = args;
  const { preferred } = demandsOf(pod, world);
  if (ignorePreferredTermsOfExistingPods && preferred.length === 0) return undefined;
  const meant = memo(pod);
  const byKey = new Map<string, Map<string, number>>();
  const add = (key: string, value: string, amount: number) => {
    if (amount === 0) return;
    let values = byKey.get(key);
    if (!values) byKey.set(key, (values = new Map()));
    values.set(value, (values.get(value) ?? 0) + amount);
  };
  for (const { term, weight } of preferred)
    for (const [value, count] of domainCounts(all, term)) add(term.topologyKey, value, weight * count);
  for (const [i, others] of othersOn(all, world)) {
    const labels = all[i]!.node.metadata.labels ?? {};
    const count = (terms: Counted, weight: number) => {
      for (const { term, times } of terms.values())
        if (term.topologyKey in labels && meant(term)) add(term.topologyKey, labels[term.topologyKey]!, weight * times);
    };
    if (hardPodAffinityWeight > 0) count(others.near, hardPodAffinityWeight);
    count(others.preferred, 1);
  }
  return byKey.size === 0 ? undefined : normalized(nodes, [...byKey]);
}

function normalized(nodes: readonly NodeView[], sums: readonly [key: string, values: Map<string, number>][]) {
  const sumOf = ({ node }: NodeView) =>
    sums.reduce((sum, [key, values]) => sum + (values.get(node.metadata.labels?.[key] ?? '') ?? 0), 0);
  const scores = nodes.map(sumOf);
  const [least, most] = [minOf(scores), maxOf(scores)];
  if (most <= least) return undefined;
  return (_: NodeView, i: number): number => (100 * (scores[i]! - least)) / (most - least);
}

interface Others {
  apart: Counted;
  near: Counted;
  /** `times` is the sum of the weights. */
  preferred: Counted;
}

const nowhere: World = { namespaceLabels: () => undefined };
const columns = new WeakMap<World, Column<Others>>();

/** What the pods of a node demand of others, where they do; equal terms of many pods are one. */
function othersOn(nodes: readonly NodeView[], world: World = nowhere): [place: number, others: Others][] {
  let column = columns.get(world);
  if (!column) {
    column = podColumn(
      (node) => readOthers(node, world),
      (others) => others === nothing,
    );
    columns.set(world, column);
  }
  const [some, values] = [column.someOf(nodes), column.of(nodes)];
  return Array.from(some, (i) => [i, values[i]!]);
}

const nothing: Others = { apart: new Map(), near: new Map(), preferred: new Map() };

function readOthers({ pods }: NodeView, world: World): Others {
  let found = nothing;
  const count = (terms: Counted, term: Term, times: number) => {
    const key = `${term.topologyKey} ${term.key}`;
    terms.set(key, { term: terms.get(key)?.term ?? term, times: (terms.get(key)?.times ?? 0) + times });
  };
  for (const pod of pods.values()) {
    const demands = demandsOf(pod, world);
    if (demands === nobody) continue;
    if (found === nothing) found = { apart: new Map(), near: new Map(), preferred: new Map() };
    for (const term of demands.apart) count(found.apart, term, 1);
    for (const term of demands.near) count(found.near, term, 1);
    for (const { term, weight } of demands.preferred) count(found.preferred, term, weight);
  }
  return found;
}

/** Terms with equal words are one object, so that what is known of one is known of all. */
const interned = new Map<string, Term>();
const mostInterned = 10_000;
const demandsByPod = new WeakMap<Pod, Demands>();

function demandsOf(pod: Pod, world: World = nowhere): Demands {
  const { podAffinity, podAntiAffinity } = pod.spec.affinity ?? {};
  if (!podAffinity && !podAntiAffinity) return nobody;
  const known = demandsByPod.get(pod);
  if (known) return known;
  const terms = (list: PodAffinityTerm[] = []) => list.map((term) => termOf(pod, term, world));
  const weighted = (list: { weight: number; podAffinityTerm: PodAffinityTerm }[] = [], sign: 1 | -1) =>
    list.map(({ weight, podAffinityTerm }) => ({ term: termOf(pod, podAffinityTerm, world), weight: sign * weight }));
  const demands: Demands = {
    near: terms(podAffinity?.requiredDuringSchedulingIgnoredDuringExecution),
    apart: terms(podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution),
    preferred: [
      ...weighted(podAffinity?.preferredDuringSchedulingIgnoredDuringExecution, 1),
      ...weighted(podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution, -1),
    ],
  };
  demandsByPod.set(pod, demands);
  return demands;
}

function termOf(pod: Pod, term: PodAffinityTerm, world: World): Term {
  const { namespaces = [], namespaceSelector, topologyKey } = term;
  const named = namespaces.length === 0 && !namespaceSelector ? [namespaceOf(pod)] : namespaces;
  const where = namespaceSelector ? `${named.join()} ${JSON.stringify(namespaceSelector)}` : named.join();
  const isIn = (namespace: string) =>
    named.includes(namespace) ||
    (namespaceSelector !== undefined &&
      matchesLabelSelector(namespaceSelector, world.namespaceLabels(namespace) ?? {}));
  const { key, has } = selection(narrowed(term.labelSelector, pod, term), where, isIn);
  const name = `${topologyKey} ${key}`;
  const known = interned.get(name);
  if (known) return known;
  const made: Term = namespaceSelector
    ? // Which namespaces it means changes with their labels.
      {
        get key() {
          return `${key} ${world.namespaceChanges?.() ?? 0}`;
        },
        has,
        topologyKey,
      }
    : { key, has, topologyKey };
  if (interned.size >= mostInterned) interned.clear();
  interned.set(name, made);
  return made;
}
