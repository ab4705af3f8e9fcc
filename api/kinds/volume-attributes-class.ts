import { equal } from '../../lib/equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { immutable, required } from '../field-error.ts';
import { kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { checkDnsSubdomain } from '../names.ts';
import { mustBeNamed } from '../rules.ts';

export interface VolumeAttributesClass extends KubeObject {
  driverName: string;
  parameters?: Record<string, string>;
}

export const VolumeAttributesClass = kind<VolumeAttributesClass>({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'VolumeAttributesClass',
  plural: 'volumeattributesclasses',
  short: ['vac'],
  namespaced: false,
  generation: false,
  validate: ({ driverName, parameters }) => [
    ...mustBeNamed(driverName, checkDnsSubdomain, 'driverName'),
    ...(Object.keys(parameters ?? {}).length > 0
      ? []
      : [required('parameters', 'must contain at least one key/value pair')]),
  ],
  validateUpdate: (volume, old) =>
    (['driverName', 'parameters'] as const)
      .filter((name) => !equal(volume[name], old[name]))
      .map((name) => immutable(name, volume[name])),
  columns: [nameColumn, { name: 'DriverName', value: ({ driverName }) => driverName }, ageColumn],
});
