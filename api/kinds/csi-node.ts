import { ageColumn, nameColumn } from '../columns.ts';
import { duplicate, required } from '../field-error.ts';
import { kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { checkDnsSubdomain, checkQualifiedName } from '../names.ts';
import { each, mustBeNamed, notNegative } from '../rules.ts';

export interface CSINode extends KubeObject {
  spec: { drivers?: CSINodeDriver[] };
}

export interface CSINodeDriver {
  name: string;
  nodeID: string;
  topologyKeys?: string[];
  allocatable?: { count?: number };
}

export const CSINode = kind<CSINode>({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'CSINode',
  plural: 'csinodes',
  namespaced: false,
  generation: false,
  unconditionalUpdate: false,
  validate: ({ spec }) => {
    const names = new Set<string>();
    return each(spec?.drivers, 'spec.drivers', ({ name, nodeID, topologyKeys, allocatable }, field) => {
      const again = names.has(name) ? [duplicate(`${field}.name`, name)] : [];
      names.add(name);
      return [
        ...mustBeNamed(name, checkDnsSubdomain, `${field}.name`),
        ...again,
        ...(nodeID ? [] : [required(`${field}.nodeID`)]),
        ...each(topologyKeys, `${field}.topologyKeys`, (key, at) => mustBeNamed(key, checkQualifiedName, at)),
        ...notNegative(allocatable?.count, `${field}.allocatable.count`),
      ];
    });
  },
  columns: [
    nameColumn,
    { name: 'Drivers', type: 'integer', value: ({ spec }) => spec.drivers?.length ?? 0 },
    ageColumn,
  ],
});
