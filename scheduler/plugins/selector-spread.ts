import { controllerOf } from '../../api/meta.ts';
import type { Plugin } from '../plugin.ts';

/** Prefers nodes that have fewer pods of the same controller, so that one node's loss costs little. */
export const selectorSpread: Plugin = {
  name: 'SelectorSpread',
  score: ({ pod, nodes }) => {
    const owner = controllerOf(pod)?.uid;
    if (!owner) return undefined;
    const counts = new Map<string, number>();
    let most = 0;
    for (const node of nodes) {
      const count = node.siblings(owner);
      if (count > 0) counts.set(node.name, count);
      most = Math.max(most, count);
    }
    return most === 0 ? undefined : ({ name }) => 100 - (100 * (counts.get(name) ?? 0)) / most;
  },
};
