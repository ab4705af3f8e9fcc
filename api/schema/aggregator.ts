import type { Schema } from '../schema.ts';

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
