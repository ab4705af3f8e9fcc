import type { Plugin } from '../plugin.ts';
import { tolerates } from '../tolerations.ts';

/** Keeps pods off nodes whose taints they do not tolerate, and prefers nodes with fewer soft taints. */
export const taintToleration: Plugin = {
  name: 'TaintToleration',
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
  score: ({
    pod: {
      spec: { tolerations },
    },
    nodes,
  }) => {
    const soft = nodes.map(
      ({ node }) =>
        node.spec?.taints?.filter((t) => t.effect === 'PreferNoSchedule' && !tolerates(tolerations, t)).length ?? 0,
    );
    const most = Math.max(0, ...soft);
    if (most === 0) return undefined;
    const byName = new Map(nodes.map(({ name }, i) => [name, soft[i]!]));
    return ({ name }) => 100 - (100 * byName.get(name)!) / most;
  },
};
