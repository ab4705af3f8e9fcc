import { equal } from '../../lib/equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { duplicate, forbiddenField, immutable, required, tooMany } from '../field-error.ts';
import { type FieldError, kind } from '../kind.ts';
import type { Condition, KubeObject } from '../meta.ts';
import type { NodeSelector } from './pod.ts';
import { each } from '../rules.ts';
import { type DeviceClaim, defaultDeviceClaim, validateDeviceClaim } from '../validate-devices.ts';

/** One device that was given to a request. */
export interface AllocatedDevice {
  request: string;
  driver: string;
  pool: string;
  device: string;
}

/** What somebody needs of devices; `status.allocation` says what there is for it. */
export interface ResourceClaim extends KubeObject {
  spec: { devices?: DeviceClaim };
  status?: {
    allocation?: { devices?: { results?: AllocatedDevice[] }; nodeSelector?: NodeSelector };
    reservedFor?: { apiGroup?: string; resource: string; name: string; uid: string }[];
    devices?: { driver: string; pool: string; device: string; conditions?: Condition[] }[];
  };
}

const mostConsumers = 256;

export const ResourceClaim = kind<ResourceClaim>({
  group: 'resource.k8s.io',
  version: 'v1',
  kind: 'ResourceClaim',
  plural: 'resourceclaims',
  namespaced: true,
  generation: false,
  subresources: ['status'],
  defaults: ({ spec }) => defaultDeviceClaim(spec?.devices),
  prepareCreate: (claim) => {
    delete claim.status;
  },
  validate: ({ spec, status }) => [
    ...validateDeviceClaim(spec?.devices, 'spec.devices'),
    ...validateStatus(status ?? {}),
  ],
  validateUpdate: (claim, old) => [
    ...(equal(claim.spec, old.spec) ? [] : [immutable('spec', claim.spec)]),
    // It may be taken away, and another one given afterwards.
    ...(claim.status?.allocation && old.status?.allocation && !equal(claim.status.allocation, old.status.allocation)
      ? [immutable('status.allocation', claim.status.allocation)]
      : []),
  ],
  columns: [nameColumn, { name: 'State', value: stateOf }, ageColumn],
});

function validateStatus({ allocation, reservedFor = [] }: NonNullable<ResourceClaim['status']>): FieldError[] {
  const at = 'status.reservedFor';
  return [
    ...(reservedFor.length > mostConsumers ? [tooMany(at, reservedFor.length, mostConsumers)] : []),
    ...(reservedFor.length > 0 && !allocation
      ? [forbiddenField(at, 'may not be specified when `allocated` is not set')]
      : []),
    ...each(reservedFor, at, ({ resource, name, uid }, field) =>
      Object.entries({ resource, name, uid }).flatMap(([key, value]) => (value ? [] : [required(`${field}.${key}`)])),
    ),
    ...reservedFor.flatMap(({ uid }, i) =>
      reservedFor.findIndex((one) => one.uid === uid) === i ? [] : [duplicate(`${at}[${i}].uid`, uid)],
    ),
  ];
}

function stateOf({ metadata, status = {} }: ResourceClaim): string {
  const states = [
    ...(metadata.deletionTimestamp ? ['deleted'] : []),
    ...(status.allocation ? ['allocated'] : []),
    ...(status.reservedFor?.length ? ['reserved'] : []),
  ];
  return states.length > 0 ? states.join(',') : 'pending';
}
