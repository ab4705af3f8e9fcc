import type { Schema } from '../schema.ts';

const root = 'io.k8s.metrics.pkg.apis.metrics.v1beta1';
const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1';
const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
const text: Schema = { type: 'string' };
const usage: Schema = {
  type: 'object',
  additionalProperties: ref('io.k8s.apimachinery.pkg.api.resource.Quantity'),
};

const object = (kind: string, properties: Record<string, Schema>): Schema => ({
  type: 'object',
  properties: { apiVersion: text, kind: text, ...properties },
  'x-kubernetes-group-version-kind': [{ group: 'metrics.k8s.io', kind, version: 'v1beta1' }],
});
const sampled = (kind: string, properties: Record<string, Schema>): Schema =>
  object(kind, { metadata: ref(`${meta}.ObjectMeta`), timestamp: ref(`${meta}.Time`), window: text, ...properties });
const listOf = (kind: string): Schema =>
  object(`${kind}List`, { metadata: ref(`${meta}.ListMeta`), items: { type: 'array', items: ref(`${root}.${kind}`) } });

/** metrics.k8s.io/v1beta1, which the schema facts lack. https://github.com/kubernetes/metrics */
export const metricsDefinitions: Readonly<Record<string, Schema>> = {
  [`${root}.NodeMetrics`]: sampled('NodeMetrics', { usage }),
  [`${root}.NodeMetricsList`]: listOf('NodeMetrics'),
  [`${root}.PodMetrics`]: sampled('PodMetrics', {
    containers: { type: 'array', items: ref(`${root}.ContainerMetrics`) },
  }),
  [`${root}.PodMetricsList`]: listOf('PodMetrics'),
  [`${root}.ContainerMetrics`]: { type: 'object', required: ['name', 'usage'], properties: { name: text, usage } },
};
