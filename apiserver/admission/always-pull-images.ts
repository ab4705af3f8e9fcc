import type { Pod } from '../../api/kinds/pod.ts';
import type { AdmissionRule } from './order.ts';
import { containersOf, writes } from './requests.ts';

/** Images are pulled for every pod, with its own credentials: nobody uses one because others pulled it. */
export const alwaysPullImages: AdmissionRule = {
  name: 'AlwaysPullImages',
  mutate: (request) => {
    if (request.operation !== 'create' || !writes(request, 'pods')) return;
    const { spec } = request.object as Pod;
    for (const container of containersOf(spec)) container.imagePullPolicy = 'Always';
  },
};
