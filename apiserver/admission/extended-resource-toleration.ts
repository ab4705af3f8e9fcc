import { isExtendedResource } from '../../api/extended-resources.ts';
import type { Pod } from '../../api/kinds/pod.ts';
import type { AdmissionRule } from './order.ts';
import { containersOf, creates } from './requests.ts';

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
