import type { Schema } from '../schema.ts';

/** A message's fields: number, name, type and label of each. */
export type MessageFacts = readonly [
  number: number,
  name: string,
  type: string,
  label: 'optional' | 'repeated' | 'required',
][];

const root = 'io.k8s.kube-aggregator.pkg.apis.apiregistration.v1';
const ref = (name: string): string => `#/components/schemas/${name}`;
const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1';
const text: Schema = { type: 'string' };
const emptyText: Schema = { type: 'string', default: '' };
const int32: Schema = { type: 'integer', format: 'int32' };
const gvk = (kind: string) => [{ group: 'apiregistration.k8s.io', kind, version: 'v1' }];

/** apiregistration.k8s.io/v1, which the schema facts lack. https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/api-service-v1/ */
export const aggregatorDefinitions: Readonly<Record<string, Schema>> = {
  [`${root}.APIService`]: {
    type: 'object',
    properties: {
      apiVersion: text,
      kind: text,
      metadata: { $ref: ref(`${meta}.ObjectMeta`), default: {} },
      spec: { $ref: ref(`${root}.APIServiceSpec`), default: {} },
      status: { $ref: ref(`${root}.APIServiceStatus`), default: {} },
    },
    'x-kubernetes-group-version-kind': gvk('APIService'),
  },
  [`${root}.APIServiceList`]: {
    type: 'object',
    required: ['items'],
    properties: {
      apiVersion: text,
      kind: text,
      metadata: { $ref: ref(`${meta}.ListMeta`), default: {} },
      items: { type: 'array', items: { $ref: ref(`${root}.APIService`), default: {} } },
    },
    'x-kubernetes-group-version-kind': gvk('APIServiceList'),
  },
  [`${root}.APIServiceSpec`]: {
    type: 'object',
    required: ['groupPriorityMinimum', 'versionPriority'],
    properties: {
      caBundle: { type: 'string', format: 'byte', 'x-kubernetes-list-type': 'atomic' },
      group: text,
      groupPriorityMinimum: { ...int32, default: 0 },
      insecureSkipTLSVerify: { type: 'boolean' },
      service: { $ref: ref(`${root}.ServiceReference`) },
      version: text,
      versionPriority: { ...int32, default: 0 },
    },
  },
  [`${root}.ServiceReference`]: {
    type: 'object',
    properties: { name: text, namespace: text, port: int32 },
  },
  [`${root}.APIServiceStatus`]: {
    type: 'object',
    properties: {
      conditions: {
        type: 'array',
        items: { $ref: ref(`${root}.APIServiceCondition`), default: {} },
        'x-kubernetes-list-map-keys': ['type'],
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-patch-merge-key': 'type',
        'x-kubernetes-patch-strategy': 'merge',
      },
    },
  },
  [`${root}.APIServiceCondition`]: {
    type: 'object',
    required: ['type', 'status'],
    properties: {
      lastTransitionTime: { $ref: ref(`${meta}.Time`) },
      message: text,
      reason: text,
      status: emptyText,
      type: emptyText,
    },
  },
};

const message = 'k8s.io.kube_aggregator.pkg.apis.apiregistration.v1';
const metaMessage = '.k8s.io.apimachinery.pkg.apis.meta.v1';

/** Its messages, in the form of the protobuf facts: number, name, type and label of each field. */
export const aggregatorMessages: Readonly<Record<string, MessageFacts>> = {
  [`${message}.APIService`]: [
    [1, 'metadata', `${metaMessage}.ObjectMeta`, 'optional'],
    [2, 'spec', 'APIServiceSpec', 'optional'],
    [3, 'status', 'APIServiceStatus', 'optional'],
  ],
  [`${message}.APIServiceList`]: [
    [1, 'metadata', `${metaMessage}.ListMeta`, 'optional'],
    [2, 'items', 'APIService', 'repeated'],
  ],
  [`${message}.APIServiceSpec`]: [
    [1, 'service', 'ServiceReference', 'optional'],
    [2, 'group', 'string', 'optional'],
    [3, 'version', 'string', 'optional'],
    [4, 'insecureSkipTLSVerify', 'bool', 'optional'],
    [5, 'caBundle', 'bytes', 'optional'],
    [7, 'groupPriorityMinimum', 'int32', 'optional'],
    [8, 'versionPriority', 'int32', 'optional'],
  ],
  [`${message}.ServiceReference`]: [
    [1, 'namespace', 'string', 'optional'],
    [2, 'name', 'string', 'optional'],
    [3, 'port', 'int32', 'optional'],
  ],
  [`${message}.APIServiceStatus`]: [[1, 'conditions', 'APIServiceCondition', 'repeated']],
  [`${message}.APIServiceCondition`]: [
    [1, 'type', 'string', 'optional'],
    [2, 'status', 'string', 'optional'],
    [3, 'lastTransitionTime', `${metaMessage}.Time`, 'optional'],
    [4, 'reason', 'string', 'optional'],
    [5, 'message', 'string', 'optional'],
  ],
};
