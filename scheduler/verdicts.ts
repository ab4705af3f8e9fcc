import type { NodeView } from './cluster.ts';
import { Column, Columns } from './column.ts';
import type { Ask, NodeFilter, NodeScore, Weighted } from './plugin.ts';

/** Why a node refuses the pod, or else the weighted sum of its scores. */
export type Verdict = string | number;

/** A profile, taken apart. */
interface Parts {
  /** Policies whose filter, or whose score, goes by nothing but the pod and the node. */
  filtersAlone: readonly Weighted[];
  scoresAlone: readonly Weighted[];
  /** All others, to be asked for each pod. */
  filters: readonly Weighted[];
  scores: readonly Weighted[];
  /** By what the first two go by. */
  known: Columns<Column<Verdict>>;
}

const parts = new WeakMap<readonly Weighted[], Parts>();

function partsOf(profile: readonly Weighted[]): Parts {
  let found = parts.get(profile);
  if (!found) {
    const scoring = profile.filter(({ weight, plugin }) => weight > 0 && plugin.score);
    found = {
      filtersAlone: profile.filter(({ plugin }) => plugin.filterGoesBy),
      scoresAlone: scoring.filter(({ plugin }) => plugin.scoreGoesBy),
      filters: profile.filter(({ plugin }) => !plugin.filterGoesBy),
      scores: scoring.filter(({ plugin }) => !plugin.scoreGoesBy),
      known: new Columns(64),
    };
    parts.set(profile, found);
  }
  return found;
}

/**
 * What the policies that look at one node alone say of each, and which policies are left. Equal pods share the verdicts, so that
 * for each further one only nodes that have changed are asked: that is what makes it affordable to look at all of them.
 */
export function verdictsOf(
  ask: Ask,
  profile: readonly Weighted[],
): { verdicts: readonly Verdict[]; filters: readonly Weighted[]; scores: readonly Weighted[] } {
  const { filtersAlone, scoresAlone, filters, scores, known } = partsOf(profile);
  const key = JSON.stringify([
    filtersAlone.map(({ plugin }) => plugin.filterGoesBy!(ask)),
    scoresAlone.map(({ plugin }) => plugin.scoreGoesBy!(ask)),
  ]);
  const column = known.get(key, () => {
    const tests = filtersOf(ask, filtersAlone);
    const scorers = scorersOf(ask, scoresAlone);
    return new Column(
      ({ version }) => version,
      (node) => refusal(node, tests) ?? scoreOf(node, 0, scorers),
    );
  });
  return { verdicts: column.of(ask.nodes), filters, scores };
}

/** What each policy asks a node for this pod. */
export const filtersOf = (ask: Ask, profile: readonly Weighted[]): NodeFilter[] =>
  profile.flatMap(({ plugin }) => plugin.filter?.(ask) ?? []);

/** The first reason against a node, or undefined. */
export function refusal(node: NodeView, filters: readonly NodeFilter[]): string | undefined {
  for (let i = 0; i < filters.length; i++) {
    const reason = filters[i]!(node);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

export interface Scorer {
  score: NodeScore;
  weight: number;
}

export const scorersOf = (ask: Ask, profile: readonly Weighted[]): Scorer[] =>
  profile.flatMap(({ plugin, weight }) => {
    const score = plugin.score?.(ask);
    return score ? [{ score, weight }] : [];
  });

/** The weighted sum; `i` says where the node is in the `nodes` of the ask. */
export function scoreOf(node: NodeView, i: number, scorers: readonly Scorer[]): number {
  let total = 0;
  for (let s = 0; s < scorers.length; s++) total += scorers[s]!.weight * scorers[s]!.score(node, i);
  return total;
}
