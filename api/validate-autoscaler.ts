import { bad, forbiddenField, notSupported, required } from './field-error.ts';
import type { FieldError } from './kind.ts';
import {
  sourceOf,
  type HorizontalPodAutoscaler,
  type MetricSpec,
  type MetricTarget,
  type ScalingRules,
} from './kinds/horizontal-pod-autoscaler.ts';
import { compareQuantities } from './quantity.ts';
import { each, mustBeOneOf } from './rules.ts';

const types = ['ContainerResource', 'External', 'Object', 'Pods', 'Resource'];
const fields = {
  ContainerResource: 'containerResource',
  External: 'external',
  Object: 'object',
  Pods: 'pods',
  Resource: 'resource',
} as const;
const maxWindow = 3600;
const maxPeriod = 1800;

export function validateAutoscaler({ spec }: HorizontalPodAutoscaler): FieldError[] {
  if (!spec) return [required('spec.scaleTargetRef')];
  const errors: FieldError[] = [];
  const { minReplicas, maxReplicas = 0, scaleTargetRef: target } = spec;
  if (minReplicas !== undefined && minReplicas < 1)
    errors.push(bad('spec.minReplicas', minReplicas, 'must be greater than or equal to 1'));
  if (maxReplicas < 1) errors.push(bad('spec.maxReplicas', maxReplicas, 'must be greater than 0'));
  if (minReplicas !== undefined && maxReplicas < minReplicas)
    errors.push(bad('spec.maxReplicas', maxReplicas, 'must be greater than or equal to `minReplicas`'));
  if (!target?.kind) errors.push(required('spec.scaleTargetRef.kind'));
  if (!target?.name) errors.push(required('spec.scaleTargetRef.name'));
  return [
    ...errors,
    ...each(spec.metrics, 'spec.metrics', validateMetric),
    ...validateRules(spec.behavior?.scaleUp, 'spec.behavior.scaleUp'),
    ...validateRules(spec.behavior?.scaleDown, 'spec.behavior.scaleDown'),
  ];
}

function validateMetric(metric: MetricSpec, at: string): FieldError[] {
  if (!metric.type) return [required(`${at}.type`, 'must specify a metric source type')];
  if (!types.includes(metric.type)) return [notSupported(`${at}.type`, metric.type, types)];
  const own = fields[metric.type];
  const errors = Object.values(fields)
    .filter((name) => name !== own && metric[name] !== undefined)
    .map((name) => forbiddenField(`${at}.${name}`, 'must populate the given metric source only'));
  const source = sourceOf(metric);
  if (!source) return [...errors, required(`${at}.${own}`, 'must populate information for the given metric source')];
  const field = `${at}.${own}`;
  if ('name' in source && !source.name) errors.push(required(`${field}.name`, 'must specify a resource name'));
  if (metric.type === 'ContainerResource' && !metric.containerResource?.container)
    errors.push(required(`${field}.container`, 'must specify a container'));
  if ('metric' in source && !source.metric?.name)
    errors.push(required(`${field}.metric.name`, 'must specify a metric name'));
  return [...errors, ...validateTarget(source.target ?? {}, metric.type, `${field}.target`)];
}

function validateTarget(target: Partial<MetricTarget>, source: MetricSpec['type'], at: string): FieldError[] {
  const { type, value, averageValue, averageUtilization } = target;
  const errors: FieldError[] = [];
  if (!type) errors.push(required(`${at}.type`, 'must specify a metric target type'));
  else if (!['Utilization', 'Value', 'AverageValue'].includes(type))
    errors.push(bad(`${at}.type`, type, 'must be either Utilization, Value, or AverageValue'));
  for (const [name, amount] of Object.entries({ value, averageValue }))
    if (amount !== undefined && compareQuantities(amount, '0') <= 0)
      errors.push(bad(`${at}.${name}`, amount, 'must be positive'));
  if (averageUtilization !== undefined && averageUtilization < 1)
    errors.push(bad(`${at}.averageUtilization`, averageUtilization, 'must be greater than 0'));
  return [...errors, ...validateAmounts(target, source, at)];
}

function validateAmounts(
  { value, averageValue, averageUtilization }: Partial<MetricTarget>,
  source: MetricSpec['type'],
  at: string,
): FieldError[] {
  switch (source) {
    case 'Object':
      return value || averageValue
        ? []
        : [required(`${at}.averageValue`, 'must set either a target value or averageValue')];
    case 'External':
      if (value && averageValue)
        return [forbiddenField(`${at}.value`, 'may not set both a target value for metric and a per-pod target')];
      return value || averageValue
        ? []
        : [required(`${at}.averageValue`, 'must set either a target value for metric or a per-pod target')];
    case 'Pods':
      return averageValue ? [] : [required(`${at}.averageValue`, 'must specify a positive target averageValue')];
    case 'Resource':
    case 'ContainerResource':
      if (averageUtilization !== undefined && averageValue)
        return [forbiddenField(`${at}.averageValue`, 'may not set both a target raw value and a target utilization')];
      return averageUtilization !== undefined || averageValue
        ? []
        : [required(`${at}.averageUtilization`, 'must set either a target raw value or a target utilization')];
  }
}

function validateRules(rules: ScalingRules | undefined, at: string): FieldError[] {
  if (!rules) return [];
  const errors: FieldError[] = [];
  const window = rules.stabilizationWindowSeconds;
  if (window !== undefined && window < 0)
    errors.push(bad(`${at}.stabilizationWindowSeconds`, window, 'must be greater than or equal to zero'));
  if (window !== undefined && window > maxWindow)
    errors.push(bad(`${at}.stabilizationWindowSeconds`, window, `must be less than or equal to ${maxWindow}`));
  if (rules.selectPolicy)
    errors.push(...mustBeOneOf(rules.selectPolicy, ['Disabled', 'Max', 'Min'], `${at}.selectPolicy`));
  if (!rules.policies?.length) errors.push(required(`${at}.policies`, 'must specify at least one Policy'));
  return [
    ...errors,
    ...each(rules.policies, `${at}.policies`, ({ type, value, periodSeconds }, field) => [
      ...mustBeOneOf(type, ['Percent', 'Pods'], `${field}.type`),
      ...(value > 0 ? [] : [bad(`${field}.value`, value, 'must be greater than zero')]),
      ...(periodSeconds > 0 ? [] : [bad(`${field}.periodSeconds`, periodSeconds, 'must be greater than zero')]),
      ...(periodSeconds > maxPeriod
        ? [bad(`${field}.periodSeconds`, periodSeconds, `must be less than or equal to ${maxPeriod}`)]
        : []),
    ]),
  ];
}
