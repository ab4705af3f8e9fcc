import { equal } from '../../lib/equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { bad, forbiddenField, immutable } from '../field-error.ts';
import { kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { checkQualifiedName } from '../names.ts';
import { mustBeNamed, oneOf } from '../rules.ts';

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
  validate: ({ provisioner, parameters, reclaimPolicy, volumeBindingMode }) => [
    ...mustBeNamed(provisioner, (name) => checkQualifiedName(name.toLowerCase()), 'provisioner'),
    ...Object.keys(parameters ?? {}).flatMap((key) =>
      key === '' ? [bad('parameters', key, 'field can not be empty.')] : [],
    ),
    ...oneOf(reclaimPolicy, ['Delete', 'Retain'], 'reclaimPolicy'),
    ...oneOf(volumeBindingMode, ['Immediate', 'WaitForFirstConsumer'], 'volumeBindingMode'),
  ],
  validateUpdate: (storage, old) => [
    ...(['parameters', 'provisioner', 'reclaimPolicy'] as const)
      .filter((name) => !equal(storage[name], old[name]))
      .map((name) => forbiddenField(name, `updates to ${name} are forbidden.`)),
    ...(storage.volumeBindingMode === old.volumeBindingMode
      ? []
      : [immutable('volumeBindingMode', storage.volumeBindingMode)]),
  ],
  columns: [
    { ...nameColumn, value: (storage) => `${storage.metadata.name}${isDefaultClass(storage) ? ' (default)' : ''}` },
    { name: 'Provisioner', value: (storage) => storage.provisioner },
    { name: 'ReclaimPolicy', value: (storage) => storage.reclaimPolicy ?? 'Delete' },
    { name: 'VolumeBindingMode', value: (storage) => storage.volumeBindingMode ?? 'Immediate' },
    { name: 'AllowVolumeExpansion', value: (storage) => storage.allowVolumeExpansion ?? false },
    ageColumn,
  ],
});
