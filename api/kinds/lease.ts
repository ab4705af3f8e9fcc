import { ageColumn, nameColumn } from '../columns.ts';
import { bad } from '../field-error.ts';
import { kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';

export interface Lease extends KubeObject {
  spec?: {
    holderIdentity?: string;
    leaseDurationSeconds?: number;
    /** MicroTime: RFC 3339 with six digits of a second. */
    acquireTime?: string;
    renewTime?: string;
    leaseTransitions?: number;
  };
}

export const Lease = kind<Lease>({
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
  generation: false,
  createOnUpdate: true,
  unconditionalUpdate: false,
  validate: ({ spec }) => [
    ...((spec?.leaseDurationSeconds ?? 1) > 0
      ? []
      : [bad('spec.leaseDurationSeconds', spec?.leaseDurationSeconds, 'must be greater than 0')]),
    ...((spec?.leaseTransitions ?? 0) >= 0
      ? []
      : [bad('spec.leaseTransitions', spec?.leaseTransitions, 'must be greater than or equal to 0')]),
  ],
  columns: [nameColumn, { name: 'Holder', value: (lease) => lease.spec?.holderIdentity ?? '' }, ageColumn],
});
