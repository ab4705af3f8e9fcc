import type { NodeView } from '../cluster.ts';
import type { Plugin } from '../plugin.ts';
import { amountIn, freeShare, matters } from './resources-fit.ts';

export interface BalancedAllocationArgs {
  resources?: { name: string }[];
}

/** Prefers nodes whose resources would be used to about the same share, so that none is left stranded. */
export function balancedAllocation({ resources }: BalancedAllocationArgs = {}): Plugin {
  const names = resources?.length ? resources.map(({ name }) => name) : ['cpu', 'memory'];
  return {
    name: 'NodeResourcesBalancedAllocation',
    scoreGoesBy: ({ needs }) => needs,
    score: ({ needs }) => {
      const amounts = names.map((name) => amountIn(needs, name));
      const [cpu, memory] = amounts;
      // Of two, the deviation is half their distance.
      if (!resources?.length)
        return (node) => 100 - Math.abs(freeShare(node, 'cpu', cpu!) - freeShare(node, 'memory', memory!)) / 2;
      return (node) => 100 - deviation(shares(node, names, amounts));
    },
  };
}

const shares = (node: NodeView, names: readonly string[], amounts: readonly number[]): number[] =>
  names.flatMap((name, i) => (matters(node, name, amounts[i]!) ? [freeShare(node, name, amounts[i]!)] : []));

function deviation(values: readonly number[]): number {
  if (values.length === 0) return 0;
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}
