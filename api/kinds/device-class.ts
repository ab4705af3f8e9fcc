import { ageColumn, nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { checkQualifiedName } from '../names.ts';
import { each, named } from '../rules.ts';
import {
  type DeviceConfiguration,
  type DeviceSelector,
  validateDeviceConfiguration,
  validateDeviceSelectors,
} from '../validate-devices.ts';

/** Devices that an administrator puts in one class, by what they are. */
export interface DeviceClass extends KubeObject {
  spec: { selectors?: DeviceSelector[]; config?: DeviceConfiguration[]; extendedResourceName?: string };
}

export const DeviceClass = kind<DeviceClass>({
  group: 'resource.k8s.io',
  version: 'v1',
  kind: 'DeviceClass',
  plural: 'deviceclasses',
  namespaced: false,
  validate: ({ spec }) => [
    ...validateDeviceSelectors(spec?.selectors, 'spec.selectors'),
    ...each(spec?.config, 'spec.config', validateDeviceConfiguration),
    ...named(spec?.extendedResourceName, checkQualifiedName, 'spec.extendedResourceName'),
  ],
  columns: [nameColumn, ageColumn],
});
