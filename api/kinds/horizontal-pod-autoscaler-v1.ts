import { flatSpec, flatStatus, nestedSpec, nestedStatus, type FlatMetric } from '../autoscaler-v1-metrics.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import type { Condition, KubeObject } from '../meta.ts';
import {
  HorizontalPodAutoscaler as Newer,
  type CrossReference,
  type MetricSpec,
  type MetricStatus,
} from './horizontal-pod-autoscaler.ts';

/** `autoscaling/v1`: one metric; what v2 says more travels in annotations, so that a round trip loses nothing. */
export interface HorizontalPodAutoscalerV1 extends KubeObject {
  spec: {
    scaleTargetRef: CrossReference;
    minReplicas?: number;
    maxReplicas: number;
    targetCPUUtilizationPercentage?: number;
  };
  status?: {
    observedGeneration?: number;
    lastScaleTime?: string;
    currentReplicas: number;
    desiredReplicas: number;
    currentCPUUtilizationPercentage?: number;
  };
}

const prefix = 'autoscaling.alpha.kubernetes.io/';
const carried = ['metrics', 'current-metrics', 'conditions', 'behavior'].map((name) => prefix + name);

const cpuMetric = (averageUtilization: number): MetricSpec => ({
  type: 'Resource',
  resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization } },
});
const isCpu = (metric: MetricSpec): boolean =>
  metric.type === 'Resource' &&
  metric.resource?.name === 'cpu' &&
  metric.resource.target?.averageUtilization !== undefined;

function toOlder(given: KubeObject): KubeObject {
  const { metadata, spec, status } = given as Newer;
  const { metrics = [], behavior, ...rest } = spec;
  const { currentMetrics = [], conditions = [], currentReplicas = 0, ...counts } = status ?? { desiredReplicas: 0 };
  const cpu = metrics.find(isCpu)?.resource?.target.averageUtilization;
  const used = currentMetrics.find(({ type, resource }) => type === 'Resource' && resource?.name === 'cpu');
  const others = metrics.filter((metric) => !isCpu(metric));
  const extra = {
    ...(others.length > 0 ? { metrics: others.map(flatSpec) } : {}),
    ...(currentMetrics.length > 0 ? { 'current-metrics': currentMetrics.map(flatStatus) } : {}),
    ...(conditions.length > 0 ? { conditions } : {}),
    ...(behavior ? { behavior: capitalised(behavior) } : {}),
  };
  return {
    apiVersion: 'autoscaling/v1',
    kind: Newer.kind,
    metadata: withAnnotations(metadata, extra),
    spec: { ...rest, ...(cpu === undefined ? {} : { targetCPUUtilizationPercentage: cpu }) },
    status: {
      ...counts,
      currentReplicas,
      ...(used?.resource?.current.averageUtilization === undefined
        ? {}
        : { currentCPUUtilizationPercentage: used.resource.current.averageUtilization }),
    },
  } as KubeObject;
}

function toNewer(given: KubeObject): KubeObject {
  const { metadata, spec, status } = given as HorizontalPodAutoscalerV1;
  const { targetCPUUtilizationPercentage: cpu, ...rest } = spec;
  const read = <T>(name: string): T | undefined => parsed<T>(metadata.annotations?.[prefix + name]);
  const metrics = [
    ...(read<FlatMetric[]>('metrics') ?? []).map(nestedSpec),
    ...(cpu === undefined ? [] : [cpuMetric(cpu)]),
  ];
  const behavior = read<object>('behavior');
  const { currentCPUUtilizationPercentage: used, ...counts } = status ?? { currentReplicas: 0, desiredReplicas: 0 };
  const current: MetricStatus[] =
    read<FlatMetric[]>('current-metrics')?.map(nestedStatus) ??
    (used === undefined
      ? []
      : [{ type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: used } } }]);
  const conditions = read<Condition[]>('conditions');
  return {
    apiVersion: Newer.apiVersion,
    kind: Newer.kind,
    metadata: withAnnotations(metadata, {}),
    spec: {
      ...rest,
      ...(metrics.length > 0 ? { metrics } : {}),
      ...(behavior ? { behavior: uncapitalised(behavior) } : {}),
    },
    status: {
      ...counts,
      ...(current.length > 0 ? { currentMetrics: current } : {}),
      ...(conditions ? { conditions } : {}),
    },
  } as KubeObject;
}

/** The metadata with exactly these annotations of ours. */
function withAnnotations(metadata: KubeObject['metadata'], extra: Record<string, unknown>): KubeObject['metadata'] {
  const own = Object.entries(metadata.annotations ?? {}).filter(([name]) => !carried.includes(name));
  const added = Object.entries(extra).map(([name, value]) => [prefix + name, JSON.stringify(value)] as const);
  const { annotations: _, ...rest } = metadata;
  const annotations = Object.fromEntries([...own, ...added]);
  return Object.keys(annotations).length > 0 ? { ...rest, annotations } : rest;
}

/** What is no JSON is taken as absent, as Kubernetes does. */
function parsed<T>(text: string | undefined): T | undefined {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as T;
  } catch {
    return undefined;
  }
}

const renamed =
  (rename: (name: string) => string) =>
  (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(renamed(rename));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .filter(([, member]) => member !== null)
        .map(([name, member]) => [rename(name), renamed(rename)(member)]),
    );
  };
/** The annotation spells behaviour with Go's field names. */
const capitalised = renamed((name) => name[0]!.toUpperCase() + name.slice(1));
const uncapitalised = renamed((name) => name[0]!.toLowerCase() + name.slice(1));

export const HorizontalPodAutoscalerV1 = kind<HorizontalPodAutoscalerV1>({
  group: 'autoscaling',
  version: 'v1',
  kind: 'HorizontalPodAutoscaler',
  plural: 'horizontalpodautoscalers',
  short: ['hpa'],
  categories: ['all'],
  namespaced: true,
  subresources: ['status'],
  generation: false,
  storage: {
    kind: Newer as never,
    toStored: (objects) => objects.map(toNewer),
    fromStored: (objects) => objects.map(toOlder),
  },
  defaults: ({ spec }) => {
    if (spec) spec.minReplicas ??= 1;
  },
  columns: [
    nameColumn,
    { name: 'Reference', value: ({ spec }) => `${spec.scaleTargetRef.kind}/${spec.scaleTargetRef.name}` },
    {
      name: 'Targets',
      value: (autoscaler, now) => Newer.columns?.[2]?.value(toNewer(autoscaler) as Newer, now),
    },
    { name: 'MinPods', value: ({ spec }) => (spec.minReplicas === undefined ? '<unset>' : String(spec.minReplicas)) },
    { name: 'MaxPods', value: ({ spec }) => spec.maxReplicas },
    { name: 'Replicas', value: ({ status }) => status?.currentReplicas ?? 0 },
    ageColumn,
  ],
});
