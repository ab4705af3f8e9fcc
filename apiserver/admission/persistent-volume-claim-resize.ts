import type { KubeObject } from '../../api/meta.ts';
import { compareQuantities } from '../../api/quantity.ts';
import type { Feed } from '../feed.ts';
import type { AdmissionRule } from './order.ts';
import { listIfServed, refusal, writes } from './requests.ts';

interface Claim extends KubeObject {
  spec?: { storageClassName?: string; resources?: { requests?: Record<string, string> } };
  status?: { phase?: string };
}

const storageOf = (claim: Readonly<Claim>): string => claim.spec?.resources?.requests?.['storage'] ?? '0';

/** A claim may only ask for more where its storage class says that volumes can grow. */
export const persistentVolumeClaimResize = (feed: Feed): AdmissionRule => ({
  name: 'PersistentVolumeClaimResize',
  validate: (request) => {
    if (request.operation !== 'update' || !writes(request, 'persistentvolumeclaims')) return;
    const [claim, old] = [request.object as Claim, request.old as Readonly<Claim>];
    if (compareQuantities(storageOf(claim), storageOf(old)) <= 0) return;
    if (old.status?.phase !== 'Bound') throw refusal(request, 'Only bound persistent volume claims can be expanded');
    const name = claim.spec?.storageClassName ?? '';
    const classes = listIfServed<KubeObject & { allowVolumeExpansion?: boolean }>(feed, {
      group: 'storage.k8s.io',
      plural: 'storageclasses',
    });
    if (name === '' || !classes.find(({ metadata }) => metadata.name === name)?.allowVolumeExpansion)
      throw refusal(
        request,
        'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize',
      );
  },
});
