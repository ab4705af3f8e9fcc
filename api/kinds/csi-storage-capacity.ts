import { equal } from '../../lib/equal.ts';
import { nameColumn } from '../columns.ts';
import { immutable } from '../field-error.ts';
import { kind } from '../kind.ts';
import type { KubeObject, LabelSelector } from '../meta.ts';
import { checkDnsSubdomain } from '../names.ts';
import { mustBeNamed, notNegativeAmount } from '../rules.ts';
import { validateSelector } from '../selector-validate.ts';

export interface CSIStorageCapacity extends KubeObject {
  nodeTopology?: LabelSelector;
  storageClassName: string;
  capacity?: string;
  maximumVolumeSize?: string;
}

export const CSIStorageCapacity = kind<CSIStorageCapacity>({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'CSIStorageCapacity',
  plural: 'csistoragecapacities',
  namespaced: true,
  generation: false,
  unconditionalUpdate: false,
  validate: ({ storageClassName, capacity, maximumVolumeSize, nodeTopology }) => [
    ...mustBeNamed(storageClassName, checkDnsSubdomain, 'storageClassName'),
    ...notNegativeAmount(capacity, 'capacity'),
    ...notNegativeAmount(maximumVolumeSize, 'maximumVolumeSize'),
    ...validateSelector(nodeTopology ?? {}, 'nodeTopology'),
  ],
  validateUpdate: (capacity, old) =>
    (['nodeTopology', 'storageClassName'] as const)
      .filter((name) => !equal(capacity[name], old[name]))
      .map((name) => immutable(name, capacity[name])),
  columns: [
    nameColumn,
    { name: 'StorageClassName', value: ({ storageClassName }) => storageClassName },
    { name: 'Capacity', value: ({ capacity }) => capacity ?? '<unset>' },
  ],
});
