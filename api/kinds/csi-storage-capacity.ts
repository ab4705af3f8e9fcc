import { nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import type { KubeObject, LabelSelector } from '../meta.ts';

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
  columns: [
    nameColumn,
    { name: 'StorageClassName', value: ({ storageClassName }) => storageClassName },
    { name: 'Capacity', value: ({ capacity }) => capacity ?? '<unset>' },
  ],
});
