import type { NodeView } from './cluster.ts';
import type { Ask, NodeFilter, NodeScore, Weighted } from './plugin.ts';

export type Decision =
  | { node: NodeView; score: number }
  /** Reason → how many nodes refused for it. */
  | { refusals: Map<string, number> };

/** How many fitting nodes are enough in a big cluster, and where the next search begins, so that all have their turn. */
export interface Search {
  /** Percent of the nodes; 0: the fewer the more nodes there are. */
  percentageOfNodesToScore: number;
  next: number;
}

/** Below this number of fitting nodes none is left out. */
const alwaysScored = 100;

/** As kube-scheduler does: half of a small cluster, less and less of bigger ones, never under 5 percent. */
export function enoughOf(nodes: number, percentage: number): number {
  const percent = percentage > 0 ? percentage : Math.max(5, 50 - Math.floor(nodes / 125));
  return percent >= 100 ? nodes : Math.min(nodes, Math.max(alwaysScored, Math.floor((nodes * percent) / 100)));
}

/**
 * Where the pod goes: of the nodes that no policy refuses the one with the highest weighted score; among equals one by
 * chance, which `random` makes repeatable. Without a search it looks at every node.
 */
export function decide(ask: Ask, profile: readonly Weighted[], random: () => number, search?: Search): Decision {
  const { fitting, places, refusals } = filterNodes(ask.nodes, filtersOf(ask, profile), search);
  if (fitting.length === 0) return { refusals };
  const scores = profile.flatMap(({ plugin, weight }) => {
    const score = weight > 0 ? plugin.score?.({ ...ask, nodes: fitting, all: ask.nodes, places }) : undefined;
    return score ? [{ score, weight }] : [];
  });
  return best(fitting, scores, random);
}

function filterNodes(nodes: readonly NodeView[], filters: readonly NodeFilter[], search: Search | undefined) {
  const refusals = new Map<string, number>();
  const fitting: NodeView[] = [];
  const places: number[] = [];
  const enough = search ? enoughOf(nodes.length, search.percentageOfNodesToScore) : nodes.length;
  const first = search ? search.next % Math.max(1, nodes.length) : 0;
  for (let i = 0; i < nodes.length; i++) {
    const place = (first + i) % nodes.length;
    const node = nodes[place]!;
    if (fitting.length === enough) {
      search!.next = first + i;
      break;
    }
    const reason = refusal(node, filters);
    if (reason === undefined) {
      fitting.push(node);
      places.push(place);
    } else refusals.set(reason, (refusals.get(reason) ?? 0) + 1);
  }
  return { fitting, places, refusals };
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
