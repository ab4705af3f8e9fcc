import { parseCidr } from '../cidr.ts';
import { ageColumn, joined, nameColumn } from '../columns.ts';
import { bad, immutable, required } from '../field-error.ts';
import { type FieldError, kind } from '../kind.ts';
import type { Condition, KubeObject } from '../meta.ts';
import { each } from '../rules.ts';

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
  validate: ({ spec }) => validateCidrs(spec?.cidrs ?? []),
  validateUpdate: ({ spec }, old) =>
    (old.spec?.cidrs ?? []).every((cidr, i) => spec?.cidrs?.[i] === cidr)
      ? []
      : [immutable('spec.cidrs', spec?.cidrs ?? null)],
  columns: [nameColumn, { name: 'CIDRs', value: ({ spec }) => joined(spec?.cidrs ?? []) }, ageColumn],
});

/** Whether addresses are given out of the range: of one that nobody has looked at yet they are. */
export const isReady = (status: ServiceCIDR['status']): boolean =>
  status?.conditions?.find(({ type }) => type === 'Ready')?.status !== 'False';

/** One range, or one of each family. */
function validateCidrs(cidrs: readonly string[]): FieldError[] {
  const at = 'spec.cidrs';
  if (cidrs.length === 0) return [required(at, 'at least one CIDR required')];
  if (cidrs.length > 2) return [bad(at, cidrs, 'may only hold up to 2 values')];
  const families = new Set(cidrs.map((cidr) => parseCidr(cidr)?.family));
  return [
    ...(cidrs.length === 2 && families.size === 1
      ? [bad(at, cidrs, 'may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64')]
      : []),
    ...each(cidrs, at, (cidr, field) => (parseCidr(cidr) ? [] : [bad(field, cidr, 'must be a valid CIDR value')])),
  ];
}
