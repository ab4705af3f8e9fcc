import { tolerates } from '../tolerations.ts';
import type { Plugin } from '../plugin.ts';

const taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' } as const;

/** A cordoned node takes only pods that tolerate being there. */
export const nodeUnschedulable: Plugin = {
  name: 'NodeUnschedulable',
  filterGoesBy: ({ pod }) => pod.spec.tolerations,
  filter: ({ pod }) => {
    if (tolerates(pod.spec.tolerations, taint)) return undefined;
    return ({ node }) => (node.spec?.unschedulable ? 'node(s) were unschedulable' : undefined);
  },
};
