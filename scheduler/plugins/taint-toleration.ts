import type { Toleration } from '../../api/kinds/pod.ts';
import { type Column, Columns, among, nodeColumn } from '../column.ts';
import { maxOf } from '../extremes.ts';
import type { Plugin } from '../plugin.ts';
import { tolerates } from '../tolerations.ts';

/** Keeps pods off nodes whose taints they do not tolerate, and prefers nodes with fewer soft taints. */
export const taintToleration: Plugin = {
  name: 'TaintToleration',
  filterGoesBy: ({ pod }) => pod.spec.tolerations,
  filter:
    ({
      pod: {
        spec: { tolerations },
      },
    }) =>
    ({ node }) => {
      const taint = node.spec?.taints?.find((t) => t.effect !== 'PreferNoSchedule' && !tolerates(tolerations, t));
      return taint && `node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`;
    },
  score: (ask) => {
    const column = softTaints(ask.pod.spec.tolerations);
    if (column.someOf(ask.all ?? ask.nodes).size === 0) return undefined;
    const soft = among(ask, column);
    const most = maxOf(soft);
    return most === 0 ? undefined : (_, i) => 100 - (100 * soft[i]!) / most;
  },
};

const columns = new Columns<Column<number>>();

/** How many taints of each node had better be tolerated, and are not. */
const softTaints = (tolerations: Toleration[] | undefined): Column<number> =>
  columns.get(JSON.stringify(tolerations ?? []), () =>
    nodeColumn(
      ({ spec }) =>
        spec?.taints?.filter((t) => t.effect === 'PreferNoSchedule' && !tolerates(tolerations, t)).length ?? 0,
      (count) => count === 0,
    ),
  );
