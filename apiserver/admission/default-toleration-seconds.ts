import type { Pod, Toleration } from '../../api/kinds/pod.ts';
import type { AdmissionRule } from './order.ts';
import { writes } from './requests.ts';

export interface TolerationSeconds {
  notReady: number;
  unreachable: number;
}

/** How long a pod stays on a node that is not well, where the pod does not say. */
export const defaultTolerationSeconds = (seconds: TolerationSeconds): AdmissionRule => {
  const wanted = {
    'node.kubernetes.io/not-ready': seconds.notReady,
    'node.kubernetes.io/unreachable': seconds.unreachable,
  };
  return {
    name: 'DefaultTolerationSeconds',
    mutate: (request) => {
      if (request.operation !== 'create' || !writes(request, 'pods')) return;
      const { spec } = request.object as Pod;
      for (const [key, tolerationSeconds] of Object.entries(wanted)) {
        if (spec.tolerations?.some((one) => tolerates(one, key))) continue;
        spec.tolerations = [
          ...(spec.tolerations ?? []),
          { key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds },
        ];
      }
    },
  };
};

const tolerates = ({ key, effect }: Toleration, wanted: string): boolean =>
  (!key || key === wanted) && (!effect || effect === 'NoExecute');
