import { equal } from '../../lib/equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { immutable } from '../field-error.ts';
import { kind } from '../kind.ts';
import type { KubeObject, ObjectMeta } from '../meta.ts';
import { defaultDeviceClaim, validateDeviceClaim } from '../validate-devices.ts';
import type { ResourceClaim } from './resource-claim.ts';

/** What claims are made of that live as long as their pod. */
export interface ResourceClaimTemplate extends KubeObject {
  spec: { metadata?: Partial<ObjectMeta>; spec: ResourceClaim['spec'] };
}

export const ResourceClaimTemplate = kind<ResourceClaimTemplate>({
  group: 'resource.k8s.io',
  version: 'v1',
  kind: 'ResourceClaimTemplate',
  plural: 'resourceclaimtemplates',
  namespaced: true,
  generation: false,
  defaults: ({ spec }) => defaultDeviceClaim(spec?.spec?.devices),
  validate: ({ spec }) => validateDeviceClaim(spec?.spec?.devices, 'spec.spec.devices'),
  validateUpdate: ({ spec }, old) => (equal(spec, old.spec) ? [] : [immutable('spec', spec)]),
  columns: [nameColumn, ageColumn],
});
