import type { NodeView } from './cluster.ts';
import { lookingOnce } from './column.ts';
import type { Ask, NodeFilter, NodeScore, Weighted } from './plugin.ts';
import { type Verdict, filtersOf, refusal, scoreOf, scorersOf, verdictsOf } from './verdicts.ts';

export type Decision =
  | { node: NodeView; score: number }
  /** Reason → how many nodes refused for it. */
  | { refusals: Map<string, number> };

/** How many fitting nodes are enough in a big cluster, and where the next search begins, so that all have their turn. */
export interface Search {
  /** Percent of the nodes; 0: the fewer the more nodes there are, as kube-scheduler does unless told otherwise. */
  percentageOfNodesToScore: number;
  next: number;
}

/** Exact: no node is left out. */
export const everyNode = 100;

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
  return lookingOnce(ask.nodes, () => {
    const { verdicts, filters, scores } = verdictsOf(ask, profile);
    const { places, refusals } = fittingOf(ask.nodes, verdicts, filtersOf(ask, filters), search);
    if (places.length === 0) return { refusals };
    const scorers = scorersOf(narrowed(ask, places), scores);
    return best(ask.nodes, places, (node, i) => (verdicts[places[i]!] as number) + scoreOf(node, i, scorers), random);
  });
}

/** The same, asked of some of the nodes. */
function narrowed(ask: Ask, places: readonly number[]): Ask {
  const { nodes } = ask;
  return places.length === nodes.length
    ? ask
    : { ...ask, nodes: places.map((place) => nodes[place]!), all: nodes, places };
}

/** Where the nodes are that no policy refuses; why the others are refused. */
function fittingOf(
  nodes: readonly NodeView[],
  verdicts: readonly Verdict[],
  filters: readonly NodeFilter[],
  search: Search | undefined,
) {
  const refusals = new Map<string, number>();
  const places: number[] = [];
  const enough = search ? enoughOf(nodes.length, search.percentageOfNodesToScore) : nodes.length;
  // Where all are asked they keep their order.
  const first = search && enough < nodes.length ? search.next % nodes.length : 0;
  for (let i = 0; i < nodes.length; i++) {
    const place = first + i < nodes.length ? first + i : first + i - nodes.length;
    if (places.length === enough) {
      search!.next = place;
      break;
    }
    const verdict = verdicts[place]!;
    const reason = typeof verdict === 'string' ? verdict : refusal(nodes[place]!, filters);
    if (reason === undefined) places.push(place);
    else refusals.set(reason, (refusals.get(reason) ?? 0) + 1);
  }
  return { places, refusals };
}

function best(
  nodes: readonly NodeView[],
  places: readonly number[],
  scoreOf: NodeScore,
  random: () => number,
): Decision {
  let winner = nodes[places[0]!]!;
  let highest = -Infinity;
  let ties = 0;
  for (let i = 0; i < places.length; i++) {
    const node = nodes[places[i]!]!;
    const total = scoreOf(node, i);
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
