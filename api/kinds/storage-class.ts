import { ageColumn, nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';

export interface StorageClass extends KubeObject {
  provisioner: string;
  parameters?: Record<string, string>;
  reclaimPolicy?: 'Delete' | 'Retain' | 'Recycle';
  mountOptions?: string[];
  allowVolumeExpansion?: boolean;
  volumeBindingMode?: 'Immediate' | 'WaitForFirstConsumer';
  allowedTopologies?: { matchLabelExpressions?: { key: string; values: string[] }[] }[];
}

export const isDefaultClass = ({ metadata }: KubeObject): boolean =>
  ['storageclass.kubernetes.io/is-default-class', 'storageclass.beta.kubernetes.io/is-default-class'].some(
    (name) => metadata.annotations?.[name] === 'true',
  );

export const StorageClass = kind<StorageClass>({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'StorageClass',
  plural: 'storageclasses',
  short: ['sc'],
  namespaced: false,
  generation: false,
  defaults: (storage) => {
    storage.reclaimPolicy ??= 'Delete';
    storage.volumeBindingMode ??= 'Immediate';
  },
  columns: [
    { ...nameColumn, value: (storage) => `${storage.metadata.name}${isDefaultClass(storage) ? ' (default)' : ''}` },
    { name: 'Provisioner', value: (storage) => storage.provisioner },
    { name: 'ReclaimPolicy', value: (storage) => storage.reclaimPolicy ?? 'Delete' },
    { name: 'VolumeBindingMode', value: (storage) => storage.volumeBindingMode ?? 'Immediate' },
    { name: 'AllowVolumeExpansion', value: (storage) => String(storage.allowVolumeExpansion ?? false) },
    ageColumn,
  ],
});
