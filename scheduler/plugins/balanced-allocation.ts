import type { Plugin } from '../plugin.ts';
import { amountIn, freeShare } from './resources-fit.ts';

/** Prefers nodes whose cpu and memory would be used to about the same share, so that neither is left stranded. */
export const balancedAllocation: Plugin = {
  name: 'NodeResourcesBalancedAllocation',
  score: ({ needs }) => {
    const cpu = amountIn(needs, 'cpu');
    const memory = amountIn(needs, 'memory');
    return (node) => 100 - Math.abs(freeShare(node, 'cpu', cpu) - freeShare(node, 'memory', memory));
  },
};
