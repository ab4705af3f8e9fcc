import { ageColumn, joined, nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import type { Condition, KubeObject } from '../meta.ts';

export interface ServiceCIDR extends KubeObject {
  spec?: { cidrs?: string[] };
  status?: { conditions?: Condition[] };
}

export const ServiceCIDR = kind<ServiceCIDR>({
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'ServiceCIDR',
  plural: 'servicecidrs',
  namespaced: false,
  subresources: ['status'],
  generation: false,
  prepareCreate: (range) => {
    range.status = {};
  },
  columns: [nameColumn, { name: 'CIDRs', value: ({ spec }) => joined(spec?.cidrs ?? []) }, ageColumn],
});
