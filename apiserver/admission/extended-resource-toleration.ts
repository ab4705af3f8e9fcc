import type { Pod } from '../../api/kinds/pod.ts';
import type { AdmissionRule } from './order.ts';
import { containersOf, creates } from './requests.ts';

/** `example.com/gpu`, but nothing of Kubernetes' own. */
export const isExtendedResource = (name: string): boolean =>
  name.includes('/') && !/(^|\.)kubernetes\.io\//.test(name) && !name.startsWith('requests.');

/** Nodes with special resources are tainted with their names; who asks for these tolerates that. */
export const extendedResourceToleration: AdmissionRule = {
  name: 'ExtendedResourceToleration',
  mutate: (request) => {
    if (!creates(request, 'pods')) return;
    const { spec } = request.object as Pod;
    const containers = containersOf(spec);
    const names = new Set(containers.flatMap(({ resources }) => Object.keys(resources?.requests ?? {})));
    for (const key of [...names].filter(isExtendedResource).sort()) {
      if (spec.tolerations?.some((one) => one.key === key && one.operator === 'Exists')) continue;
      spec.tolerations = [...(spec.tolerations ?? []), { key, operator: 'Exists', effect: 'NoSchedule' }];
    }
  },
};
