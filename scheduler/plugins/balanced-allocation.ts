import type { NodeView } from '../cluster.ts';
import type { Plugin } from '../plugin.ts';
import { amountIn, freeShare } from './resources-fit.ts';

export interface BalancedAllocationArgs {
  resources?: { name: string }[];
}

/** Prefers nodes whose resources would be used to about the same share, so that none is left stranded. */
export function balancedAllocation({ resources }: BalancedAllocationArgs = {}): Plugin {
  const names = resources?.length ? resources.map(({ name }) => name) : ['cpu', 'memory'];
  return {
    name: 'NodeResourcesBalancedAllocation',
    score: ({ needs }) => {
      const amounts = names.map((name) => amountIn(needs, name));
      const [first, second] = amounts;
      // Of two, the deviation is half their distance.
      if (names.length === 2)
        return (node) => 100 - Math.abs(freeShare(node, names[0]!, first!) - freeShare(node, names[1]!, second!)) / 2;
      return (node) => 100 - deviation(shares(node, names, amounts));
    },
  };
}

const shares = (node: NodeView, names: readonly string[], amounts: readonly number[]): number[] =>
  names.flatMap((name, i) => (node.allocatable[name] ? [freeShare(node, name, amounts[i]!)] : []));

function deviation(values: readonly number[]): number {
  if (values.length === 0) return 0;
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}
