import type { NodeView } from './cluster.ts';
import type { Ask, Weighted } from './plugin.ts';

/** What every policy says of every node, for one pod. */
export interface Explanation {
  /** Those that no policy refuses, the best first; then the others by name. */
  nodes: NodeVerdict[];
}

export interface NodeVerdict {
  node: string;
  /** Policy → why it refuses the node. */
  refused?: Record<string, string>;
  /** Policy → its score, 0 to 100, and what that counts; left out where the node is refused. */
  scores?: Record<string, { score: number; weight: number }>;
  total?: number;
}

/** Asks all policies about all nodes, also those that a decision would not get to. It decides nothing. */
export function explainNodes(ask: Ask, profile: readonly Weighted[]): Explanation {
  const filters = profile.flatMap(({ plugin }) => {
    const filter = plugin.filter?.(ask);
    return filter ? [{ name: plugin.name, filter }] : [];
  });
  const verdicts = ask.nodes.map((node, place) => {
    const refusals = filters.flatMap(({ name, filter }) => {
      const reason = filter(node);
      return reason === undefined ? [] : [[name, reason] as const];
    });
    return { node, place, refusals };
  });
  const fitting = verdicts.filter(({ refusals }) => refusals.length === 0);
  const scored = scoresOf(
    ask,
    profile,
    fitting.map(({ node }) => node),
    fitting.map(({ place }) => place),
  );
  const refused = verdicts
    .filter(({ refusals }) => refusals.length > 0)
    .map(({ node, refusals }) => ({ node: node.name, refused: Object.fromEntries(refusals) }))
    .sort((a, b) => (a.node < b.node ? -1 : 1));
  return { nodes: [...scored, ...refused] };
}

function scoresOf(ask: Ask, profile: readonly Weighted[], fitting: readonly NodeView[], places: number[]) {
  const asked = { ...ask, nodes: fitting, all: ask.nodes, places };
  const scorers = profile.flatMap(({ plugin, weight }) => {
    const score = weight > 0 ? plugin.score?.(asked) : undefined;
    return score ? [{ name: plugin.name, score, weight }] : [];
  });
  return fitting
    .map((node, i) => {
      const scores = scorers.map(({ name, score, weight }) => [name, { score: score(node, i), weight }] as const);
      const total = scores.reduce((sum, [, { score, weight }]) => sum + score * weight, 0);
      return { node: node.name, scores: Object.fromEntries(scores), total };
    })
    .sort((a, b) => b.total - a.total || (a.node < b.node ? -1 : 1));
}
