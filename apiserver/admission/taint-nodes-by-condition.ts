import { type Node, notReadyTaint as key } from '../../api/kinds/node.ts';
import type { AdmissionRule } from './order.ts';
import { creates } from './requests.ts';

/** A new node takes no pods before somebody has seen it ready. */
export const taintNodesByCondition: AdmissionRule = {
  name: 'TaintNodesByCondition',
  mutate: (request) => {
    if (!creates(request, 'nodes')) return;
    const node = request.object as Node;
    const taints = node.spec?.taints ?? [];
    if (taints.some((taint) => taint.key === key && taint.effect === 'NoSchedule')) return;
    node.spec = { ...node.spec, taints: [...taints, { key, effect: 'NoSchedule' }] };
  },
};
