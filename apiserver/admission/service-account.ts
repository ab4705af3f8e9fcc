import type { Pod } from '../../api/kinds/pod.ts';
import type { AdmissionRule } from './order.ts';

/** A pod that names no service account runs as its namespace's `default`. */
export const serviceAccount: AdmissionRule = {
  name: 'ServiceAccount',
  mutate: ({ operation, kind, object }) => {
    if (operation !== 'create' || kind.group !== '' || kind.kind !== 'Pod') return;
    const { spec } = object as Pod;
    spec.serviceAccountName ||= 'default';
    (spec as { serviceAccount?: string }).serviceAccount = spec.serviceAccountName;
  },
};
