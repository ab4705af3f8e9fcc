import type { Node } from '../../api/kinds/node.ts';
import type { Affinity } from '../../api/kinds/pod.ts';
import { fitsAffinity, matches } from '../../api/node-selection.ts';
import type { Plugin } from '../plugin.ts';

export { fitsAffinity, matches };

type NodeAffinity = NonNullable<Affinity['nodeAffinity']>;

export interface NodeAffinityArgs {
  /** Demands of the cluster's operator, beside those of each pod. */
  addedAffinity?: NodeAffinity;
}

const refused = "node(s) didn't match Pod's node affinity/selector";
const refusedByAdded = "node(s) didn't match scheduler-enforced node affinity";

/** nodeSelector, required node affinity, and the score of preferred node affinity. */
export function nodeAffinity({ addedAffinity }: NodeAffinityArgs = {}): Plugin {
  const addedTerms = addedAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  const addedPreferred = addedAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  return {
    name: 'NodeAffinity',
    filter: ({ pod }) => {
      const fits = fitsAffinity(pod);
      if (!fits && !addedTerms) return undefined;
      return ({ node }) => {
        if (addedTerms && !addedTerms.some((term) => matches(term, node))) return refusedByAdded;
        return !fits || fits(node) ? undefined : refused;
      };
    },
    score: ({ pod, nodes }) => {
      const own = pod.spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
      const preferred = [...addedPreferred, ...own];
      if (preferred.length === 0) return undefined;
      const weightOf = (node: Node) =>
        preferred.reduce((sum, { weight, preference }) => sum + (matches(preference, node) ? weight : 0), 0);
      const most = nodes.reduce((max, { node }) => Math.max(max, weightOf(node)), 0);
      return most === 0 ? undefined : ({ node }) => (100 * weightOf(node)) / most;
    },
  };
}
