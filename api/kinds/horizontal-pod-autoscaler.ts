import { ageColumn, nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import type { Condition, KubeObject, LabelSelector } from '../meta.ts';
import { validateAutoscaler } from '../validate-autoscaler.ts';

export interface HorizontalPodAutoscaler extends KubeObject {
  spec: {
    scaleTargetRef: CrossReference;
    minReplicas?: number;
    maxReplicas: number;
    metrics?: MetricSpec[];
    behavior?: { scaleUp?: ScalingRules; scaleDown?: ScalingRules };
  };
  status?: {
    observedGeneration?: number;
    lastScaleTime?: string;
    currentReplicas?: number;
    desiredReplicas: number;
    currentMetrics?: MetricStatus[];
    conditions?: Condition[];
  };
}

export interface CrossReference {
  apiVersion?: string;
  kind: string;
  name: string;
}

export interface MetricTarget {
  type: 'Utilization' | 'Value' | 'AverageValue';
  value?: string;
  averageValue?: string;
  averageUtilization?: number;
}

interface MetricIdentifier {
  name: string;
  selector?: LabelSelector;
}

interface Source<Amount extends string, Value> {
  type: 'Object' | 'Pods' | 'Resource' | 'ContainerResource' | 'External';
  object?: { describedObject: CrossReference; metric: MetricIdentifier } & Record<Amount, Value>;
  pods?: { metric: MetricIdentifier } & Record<Amount, Value>;
  resource?: { name: string } & Record<Amount, Value>;
  containerResource?: { name: string; container: string } & Record<Amount, Value>;
  external?: { metric: MetricIdentifier } & Record<Amount, Value>;
}

export type MetricSpec = Source<'target', MetricTarget>;
export type MetricValue = Omit<MetricTarget, 'type'>;
export type MetricStatus = Source<'current', MetricValue>;

export interface ScalingRules {
  stabilizationWindowSeconds?: number;
  selectPolicy?: 'Max' | 'Min' | 'Disabled';
  policies?: { type: 'Pods' | 'Percent'; value: number; periodSeconds: number }[];
  tolerance?: string;
}

export const HorizontalPodAutoscaler = kind<HorizontalPodAutoscaler>({
  group: 'autoscaling',
  version: 'v2',
  kind: 'HorizontalPodAutoscaler',
  plural: 'horizontalpodautoscalers',
  short: ['hpa'],
  categories: ['all'],
  namespaced: true,
  subresources: ['status'],
  generation: false,
  defaults: ({ spec }) => {
    if (!spec) return;
    spec.minReplicas ??= 1;
    if (!spec.metrics?.length)
      spec.metrics = [
        { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } } },
      ];
    if (spec.behavior) defaultBehavior(spec.behavior);
  },
  prepareCreate: (autoscaler) => {
    autoscaler.status = { desiredReplicas: 0 };
  },
  validate: validateAutoscaler,
  columns: [
    nameColumn,
    { name: 'Reference', value: ({ spec }) => `${spec.scaleTargetRef.kind}/${spec.scaleTargetRef.name}` },
    { name: 'Targets', value: targets },
    { name: 'MinPods', value: ({ spec }) => (spec.minReplicas === undefined ? '<unset>' : String(spec.minReplicas)) },
    { name: 'MaxPods', value: ({ spec }) => spec.maxReplicas },
    { name: 'Replicas', value: ({ status }) => status?.currentReplicas ?? 0 },
    ageColumn,
  ],
});

function defaultBehavior(behavior: NonNullable<HorizontalPodAutoscaler['spec']['behavior']>): void {
  behavior.scaleUp = {
    stabilizationWindowSeconds: 0,
    selectPolicy: 'Max',
    policies: [
      { type: 'Pods', value: 4, periodSeconds: 15 },
      { type: 'Percent', value: 100, periodSeconds: 15 },
    ],
    ...behavior.scaleUp,
  };
  behavior.scaleDown = {
    selectPolicy: 'Max',
    policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }],
    ...behavior.scaleDown,
  };
}

const fieldOf = {
  Object: 'object',
  Pods: 'pods',
  Resource: 'resource',
  ContainerResource: 'containerResource',
  External: 'external',
} as const;

/** The part of a metric that its type names. */
export const sourceOf = (metric: MetricSpec) => metric[fieldOf[metric.type]];

/** At most two metrics, `cpu: 12%/80%`. */
function targets({ spec, status }: HorizontalPodAutoscaler): string {
  const metrics = spec.metrics ?? [];
  if (metrics.length === 0) return '<none>';
  const shown = metrics.slice(0, 2).map((metric, i) => targetText(metric, status?.currentMetrics?.[i]));
  return shown.join(', ') + (metrics.length > 2 ? ` + ${metrics.length - 2} more...` : '');
}

function targetText(metric: MetricSpec, now: MetricStatus | undefined): string {
  const source = sourceOf(metric);
  const target = source?.target;
  const current = now?.[fieldOf[metric.type]]?.current;
  const name = source && 'name' in source ? source.name : '';
  const unknown = '<unknown>';
  switch (metric.type) {
    case 'Object':
    case 'External':
      return target?.averageValue
        ? `${current?.averageValue ?? unknown}/${target.averageValue} (avg)`
        : `${current?.value ?? unknown}/${target?.value ?? ''}`;
    case 'Pods':
      return `${current?.averageValue ?? unknown}/${target?.averageValue ?? ''}`;
    case 'Resource':
    case 'ContainerResource':
      return target?.averageValue
        ? `${name}: ${current?.averageValue ?? unknown}/${target.averageValue}`
        : `${name}: ${percent(current?.averageUtilization, unknown)}/${percent(target?.averageUtilization, '<auto>')}`;
    default:
      return '<unknown type>';
  }
}

const percent = (value: number | undefined, none: string): string => (value === undefined ? none : `${value}%`);
