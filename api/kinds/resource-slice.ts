import { ageColumn, nameColumn } from '../columns.ts';
import { duplicate, immutable, required, tooMany } from '../field-error.ts';
import { type FieldError, kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { checkDnsLabel, checkDnsSubdomain } from '../names.ts';
import { validateNodeTerm } from '../pod-placement-validate.ts';
import { atLeast, each, mustBeNamed, named } from '../rules.ts';
import { type DeviceTaint, exactlyOne, validateDeviceTaint, validateDriver } from '../validate-devices.ts';
import type { NodeSelector } from './pod.ts';

export interface Device {
  name: string;
  attributes?: Record<string, object>;
  capacity?: Record<string, { value: string }>;
  taints?: DeviceTaint[];
}

/** What a driver has to give of one pool, on the nodes that it names. */
export interface ResourceSlice extends KubeObject {
  spec: {
    driver: string;
    pool: { name: string; generation: number; resourceSliceCount: number };
    nodeName?: string;
    nodeSelector?: NodeSelector;
    allNodes?: boolean;
    perDeviceNodeSelection?: boolean;
    devices?: Device[];
    sharedCounters?: object[];
  };
}

type Spec = ResourceSlice['spec'];
const mostDevices = 128;

export const ResourceSlice = kind<ResourceSlice>({
  group: 'resource.k8s.io',
  version: 'v1',
  kind: 'ResourceSlice',
  plural: 'resourceslices',
  namespaced: false,
  validate: ({ spec }) => (spec ? validateSpec(spec) : [required('spec')]),
  validateUpdate: ({ spec }, old) => [
    ...(spec.driver === old.spec.driver ? [] : [immutable('spec.driver', spec.driver)]),
    ...(spec.nodeName === old.spec.nodeName ? [] : [immutable('spec.nodeName', spec.nodeName)]),
    ...(spec.pool.name === old.spec.pool.name ? [] : [immutable('spec.pool.name', spec.pool.name)]),
  ],
  selectableFields: {
    'spec.nodeName': ({ spec }) => spec.nodeName ?? '',
    'spec.driver': ({ spec }) => spec.driver,
  },
  columns: [
    nameColumn,
    { name: 'Node', value: ({ spec }) => spec.nodeName ?? '' },
    { name: 'Driver', value: ({ spec }) => spec.driver },
    { name: 'Pool', value: ({ spec }) => spec.pool.name },
    ageColumn,
  ],
});

function validateSpec(spec: Spec): FieldError[] {
  const { pool, nodeName, nodeSelector, devices = [] } = spec;
  const [allNodes, perDeviceNodeSelection] = [spec.allNodes || undefined, spec.perDeviceNodeSelection || undefined];
  return [
    ...validateDriver(spec.driver, 'spec.driver'),
    ...(pool?.name
      ? pool.name.split('/').flatMap((part) => named(part, checkDnsSubdomain, 'spec.pool.name'))
      : [required('spec.pool.name')]),
    ...atLeast(pool?.resourceSliceCount, 1, 'spec.pool.resourceSliceCount'),
    ...atLeast(pool?.generation, 0, 'spec.pool.generation'),
    ...exactlyOne({ nodeName, nodeSelector, allNodes, perDeviceNodeSelection }, 'spec'),
    ...each(nodeSelector?.nodeSelectorTerms, 'spec.nodeSelector.nodeSelectorTerms', validateNodeTerm),
    ...named(nodeName, checkDnsSubdomain, 'spec.nodeName'),
    ...(devices.length > mostDevices ? [tooMany('spec.devices', devices.length, mostDevices)] : []),
    ...each(devices, 'spec.devices', ({ name, taints }, field) => [
      ...mustBeNamed(name, checkDnsLabel, `${field}.name`),
      ...each(taints, `${field}.taints`, validateDeviceTaint),
    ]),
    ...devices.flatMap(({ name }, i) =>
      devices.findIndex((one) => one.name === name) === i ? [] : [duplicate(`spec.devices[${i}].name`, name)],
    ),
  ];
}
