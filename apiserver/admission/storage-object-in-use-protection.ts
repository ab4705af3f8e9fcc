import type { AdmissionRule } from './order.ts';
import { creates } from './requests.ts';

const finalizers: Readonly<Record<string, string>> = {
  persistentvolumeclaims: 'kubernetes.io/pvc-protection',
  persistentvolumes: 'kubernetes.io/pv-protection',
};

/** Claims and volumes are not gone before nobody uses them: controllers take these finalizers off. */
export const storageObjectInUseProtection: AdmissionRule = {
  name: 'StorageObjectInUseProtection',
  mutate: (request) => {
    const finalizer = finalizers[request.kind.plural];
    if (finalizer === undefined || !creates(request, request.kind.plural)) return;
    const { metadata } = request.object;
    metadata.finalizers = [...new Set([...(metadata.finalizers ?? []), finalizer])];
  },
};
