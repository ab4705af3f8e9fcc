import { type Needs, type NodeView, noOffer } from '../cluster.ts';
import type { Plugin } from '../plugin.ts';

/**
 * What the pod needs must be free in what is offered now; prefers nodes that keep the largest share of cpu and memory
 * free (LeastAllocated).
 */
export const resourcesFit: Plugin = {
  name: 'NodeResourcesFit',
  filter: ({ needs }) => {
    return (node) => {
      if (node.unavailable) return node.unavailable;
      if (node.pods.size >= (node.allocatable.pods ?? Infinity)) return 'Too many pods';
      for (let i = 0; i < needs.length; i++) {
        const { resource, amount } = needs[i]!;
        if (amount > (node.free[resource] ?? 0)) return shortOf(node, resource, amount);
      }
      return undefined;
    };
  },
  score: ({ needs }) => {
    const cpu = amountIn(needs, 'cpu');
    const memory = amountIn(needs, 'memory');
    return (node) => (freeShare(node, 'cpu', cpu) + freeShare(node, 'memory', memory)) / 2;
  },
};

/** Ends a reason that the next offer may lift. */
const inOffers = ' in offers';

/** Tells apart what the node never had, and what others hold of it now. */
function shortOf({ allocatable }: NodeView, resource: string, amount: number): string {
  return `Insufficient ${resource}${amount > (allocatable[resource] ?? 0) ? '' : inOffers}`;
}

/** Only offers are missing: the pod waits for its turn, nothing is wrong with it. */
export const awaitsOffers = (reasons: Iterable<string>): boolean => {
  for (const reason of reasons) if (reason === noOffer || reason.endsWith(inOffers)) return true;
  return false;
};

export const amountIn = (needs: Needs, resource: string): number =>
  needs.find((n) => n.resource === resource)?.amount ?? 0;

/** Percent of the node's allocatable that would be left after taking `amount`. */
export function freeShare({ allocatable, free }: NodeView, resource: string, amount: number): number {
  const all = allocatable[resource] ?? 0;
  if (all === 0) return 0;
  return Math.max(0, Math.min(100, (100 * ((free[resource] ?? 0) - amount)) / all));
}
