import { equal } from '../../lib/equal.ts';
import { ageColumn, joined, nameColumn } from '../columns.ts';
import { bad, immutable } from '../field-error.ts';
import { kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { each, oneOf } from '../rules.ts';

export interface CSIDriver extends KubeObject {
  spec: {
    attachRequired?: boolean;
    podInfoOnMount?: boolean;
    volumeLifecycleModes?: ('Persistent' | 'Ephemeral')[];
    storageCapacity?: boolean;
    fsGroupPolicy?: 'ReadWriteOnceWithFSType' | 'File' | 'None';
    tokenRequests?: { audience: string; expirationSeconds?: number }[];
    requiresRepublish?: boolean;
    seLinuxMount?: boolean;
    nodeAllocatableUpdatePeriodSeconds?: number;
  };
}

export const CSIDriver = kind<CSIDriver>({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'CSIDriver',
  plural: 'csidrivers',
  namespaced: false,
  generation: false,
  unconditionalUpdate: false,
  defaults: ({ spec }) => {
    if (!spec) return;
    spec.attachRequired ??= true;
    spec.podInfoOnMount ??= false;
    spec.storageCapacity ??= false;
    spec.fsGroupPolicy ??= 'ReadWriteOnceWithFSType';
    if (!spec.volumeLifecycleModes?.length) spec.volumeLifecycleModes = ['Persistent'];
    spec.requiresRepublish ??= false;
    spec.seLinuxMount ??= false;
  },
  validate: ({ spec }) => [
    ...oneOf(spec?.fsGroupPolicy, ['File', 'None', 'ReadWriteOnceWithFSType'], 'spec.fsGroupPolicy'),
    ...each(spec?.volumeLifecycleModes, 'spec.volumeLifecycleModes', (mode, field) =>
      oneOf(mode, ['Ephemeral', 'Persistent'], field),
    ),
    ...each(spec?.tokenRequests, 'spec.tokenRequests', ({ expirationSeconds: seconds }, field) =>
      seconds !== undefined && seconds < 600
        ? [bad(`${field}.expirationSeconds`, seconds, 'may not specify a duration less than 10 minutes')]
        : [],
    ),
  ],
  validateUpdate: ({ spec }, old) =>
    (['attachRequired', 'volumeLifecycleModes'] as const)
      .filter((name) => !equal(spec[name], old.spec[name]))
      .map((name) => immutable(`spec.${name}`, spec[name])),
  columns: [
    nameColumn,
    { name: 'AttachRequired', type: 'boolean', value: ({ spec }) => spec.attachRequired ?? true },
    { name: 'PodInfoOnMount', type: 'boolean', value: ({ spec }) => spec.podInfoOnMount ?? false },
    { name: 'StorageCapacity', type: 'boolean', value: ({ spec }) => spec.storageCapacity ?? false },
    {
      name: 'TokenRequests',
      value: ({ spec }) => spec.tokenRequests?.map(({ audience }) => audience).join(',') ?? '<unset>',
    },
    { name: 'RequiresRepublish', type: 'boolean', value: ({ spec }) => spec.requiresRepublish ?? false },
    { name: 'Modes', value: ({ spec }) => joined(spec.volumeLifecycleModes ?? []) },
    ageColumn,
  ],
});
