import type { Affinity } from '../../api/kinds/pod.ts';
import { fitsAffinity, matches } from '../../api/node-selection.ts';
import { type Column, Columns, among, nodeColumn } from '../column.ts';
import { maxOf } from '../extremes.ts';
import type { Plugin } from '../plugin.ts';

export { fitsAffinity, matches };

type NodeAffinity = NonNullable<Affinity['nodeAffinity']>;
type Preferred = NonNullable<NodeAffinity['preferredDuringSchedulingIgnoredDuringExecution']>;

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
    filterGoesBy: ({ pod: { spec } }) => [spec.nodeSelector, spec.affinity?.nodeAffinity],
    filter: ({ pod }) => {
      const fits = fitsAffinity(pod);
      if (!fits && !addedTerms) return undefined;
      return ({ node }) => {
        if (addedTerms && !addedTerms.some((term) => matches(term, node))) return refusedByAdded;
        return !fits || fits(node) ? undefined : refused;
      };
    },
    score: (ask) => {
      const own = ask.pod.spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
      const preferred = [...addedPreferred, ...own];
      if (preferred.length === 0) return undefined;
      const weights = among(ask, weightColumn(preferred));
      const most = maxOf(weights);
      return most === 0 ? undefined : (_, i) => (100 * weights[i]!) / most;
    },
  };
}

const columns = new Columns<Column<number>>();

/** What each node has of the preferences, by their weight. */
const weightColumn = (preferred: Preferred): Column<number> =>
  columns.get(JSON.stringify(preferred), () =>
    nodeColumn((node) =>
      preferred.reduce((sum, { weight, preference }) => sum + (matches(preference, node) ? weight : 0), 0),
    ),
  );
