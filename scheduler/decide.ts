import type { NodeView } from './cluster.ts';
import type { Ask, NodeFilter, NodeScore, Weighted } from './plugin.ts';

export type Decision =
  | { node: NodeView; score: number }
  /** Reason → how many nodes refused for it. */
  | { refusals: Map<string, number> };

/**
 * Where the pod goes: of the nodes that no policy refuses the one with the highest weighted score; among equals one by
 * chance, which `random` makes repeatable. Pure; looks at every node.
 */
export function decide(ask: Ask, profile: readonly Weighted[], random: () => number): Decision {
  const filters = profile.flatMap(({ plugin }) => plugin.filter?.(ask) ?? []);
  const { fitting, refusals } = filterNodes(ask.nodes, filters);
  if (fitting.length === 0) return { refusals };
  const scores = profile.flatMap(({ plugin, weight }) => {
    const score = weight > 0 ? plugin.score?.({ ...ask, nodes: fitting }) : undefined;
    return score ? [{ score, weight }] : [];
  });
  return best(fitting, scores, random);
}

function filterNodes(nodes: readonly NodeView[], filters: readonly NodeFilter[]) {
  const refusals = new Map<string, number>();
  const fitting: NodeView[] = [];
  for (const node of nodes) {
    const reason = refusal(node, filters);
    if (reason === undefined) fitting.push(node);
    else refusals.set(reason, (refusals.get(reason) ?? 0) + 1);
  }
  return { fitting, refusals };
}

function refusal(node: NodeView, filters: readonly NodeFilter[]): string | undefined {
  for (let i = 0; i < filters.length; i++) {
    const reason = filters[i]!(node);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function best(
  nodes: readonly NodeView[],
  scores: readonly { score: NodeScore; weight: number }[],
  random: () => number,
): Decision {
  let winner = nodes[0]!;
  let highest = -Infinity;
  let ties = 0;
  for (const node of nodes) {
    let total = 0;
    for (let i = 0; i < scores.length; i++) total += scores[i]!.weight * scores[i]!.score(node);
    if (total > highest) {
      winner = node;
      highest = total;
      ties = 1;
    } else if (total === highest) {
      ties += 1;
      if (random() * ties < 1) winner = node;
    }
  }
  return { node: winner, score: highest };
}

/** `0/12 nodes are available: 5 Insufficient cpu in offers, 4 node(s) had untolerated taint {…}.` */
export function explain(refusals: ReadonlyMap<string, number>, nodes: number): string {
  const reasons = [...refusals].map(([reason, count]) => `${count} ${reason}`).sort();
  return `0/${nodes} nodes are available${reasons.length ? `: ${reasons.join(', ')}` : ''}.`;
}
