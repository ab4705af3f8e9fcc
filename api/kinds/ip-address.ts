import { isIP } from 'node:net';
import { equal } from '../../lib/equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { immutable, required } from '../field-error.ts';
import { kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';

/** An address that is taken; its name is the address. */
export interface IPAddress extends KubeObject {
  spec?: { parentRef?: { group?: string; resource?: string; namespace?: string; name?: string } };
}

export const IPAddress = kind<IPAddress>({
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'IPAddress',
  plural: 'ipaddresses',
  short: ['ip'],
  namespaced: false,
  generation: false,
  checkName: (name) => (isIP(name) ? [] : ['must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)']),
  validate: ({ spec }) =>
    (['resource', 'name'] as const)
      .filter((name) => !spec?.parentRef?.[name])
      .map((name) => required(spec?.parentRef ? `spec.parentRef.${name}` : 'spec.parentRef')),
  validateUpdate: ({ spec }, old) =>
    equal(spec?.parentRef, old.spec?.parentRef) ? [] : [immutable('spec.parentRef', spec?.parentRef)],
  columns: [nameColumn, { name: 'ParentRef', value: parent }, ageColumn],
});

/** Who says in a label of an IPAddress that it is the address of a Service, and goes with it. */
export const allocatedLabel = { 'ipaddress.kubernetes.io/managed-by': 'ipallocator.k8s.io' } as const;

export const isAllocated = ({ metadata }: Readonly<KubeObject>): boolean =>
  Object.entries(allocatedLabel).every(([name, value]) => metadata.labels?.[name] === value);

/** `services/default/web`, with the group before where there is one. */
function parent({ spec }: IPAddress): string {
  const { group, resource, namespace, name } = spec?.parentRef ?? {};
  return [group, resource, namespace, name].filter(Boolean).join('/') || '<none>';
}
