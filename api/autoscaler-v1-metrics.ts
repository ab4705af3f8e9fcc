import type { CrossReference, MetricSpec, MetricStatus } from './kinds/horizontal-pod-autoscaler.ts';

/**
 * autoscaling/v1 knows one metric, the utilisation of cpu; the others travel in annotations, in a form of v1's own.
 * Here: that form, flat where v2 nests.
 */
export interface FlatMetric {
  type: MetricSpec['type'];
  [source: string]: unknown;
}

type Flat = Record<string, unknown>;
type Amounts = { value?: string; averageValue?: string; averageUtilization?: number };
type Names = Record<keyof Amounts, string>;

const targetNames: Names = {
  value: 'targetValue',
  averageValue: 'targetAverageValue',
  averageUtilization: 'targetAverageUtilization',
};
const currentNames: Names = {
  value: 'currentValue',
  averageValue: 'currentAverageValue',
  averageUtilization: 'currentAverageUtilization',
};

const isEmpty = (value: unknown): boolean => value === undefined || value === null;

const withNames = (amounts: Amounts, names: Names): Flat =>
  Object.fromEntries(
    (Object.keys(names) as (keyof Amounts)[])
      .filter((name) => !isEmpty(amounts[name]))
      .map((name) => [names[name], amounts[name]]),
  );

const amountsFrom = (flat: Flat, names: Names): Amounts =>
  Object.fromEntries(
    Object.entries(names)
      .filter(([, flatName]) => !isEmpty(flat[flatName]) && flat[flatName] !== '0')
      .map(([name, flatName]) => [name, flat[flatName]]),
  );

/** On objects the average keeps its name. */
const objectNames = (names: Names): Names => ({ ...names, averageValue: 'averageValue' });
const selectorName = (source: string) => (source === 'external' ? 'metricSelector' : 'selector');
const sources = ['object', 'pods', 'resource', 'containerResource', 'external'] as const;

interface Nested {
  name?: string;
  container?: string;
  metric?: { name: string; selector?: unknown };
  describedObject?: CrossReference;
  target?: Amounts & { type?: string };
  current?: Amounts;
}

function flatten(metric: MetricSpec | MetricStatus, side: 'target' | 'current', names: Names): FlatMetric {
  const flat: FlatMetric = { type: metric.type };
  for (const source of sources) {
    const nested = metric[source] as Nested | undefined;
    if (!nested) continue;
    const { name, container, metric: measured, describedObject } = nested;
    flat[source] = {
      ...(name === undefined ? {} : { name }),
      ...(container === undefined ? {} : { container }),
      ...(describedObject ? { target: describedObject } : {}),
      ...(measured ? { metricName: measured.name } : {}),
      ...(measured?.selector ? { [selectorName(source)]: measured.selector } : {}),
      ...withNames(nested[side] ?? {}, source === 'object' ? objectNames(names) : names),
    };
  }
  return flat;
}

function nest<T>(flat: FlatMetric, side: 'target' | 'current', names: Names): T {
  const metric: Record<string, unknown> = { type: flat.type };
  for (const source of sources) {
    const given = flat[source] as Flat | undefined;
    if (!given) continue;
    const amounts = amountsFrom(given, source === 'object' ? objectNames(names) : names);
    const selector = given[selectorName(source)];
    metric[source] = {
      ...(given['name'] === undefined ? {} : { name: given['name'] }),
      ...(given['container'] === undefined ? {} : { container: given['container'] }),
      ...(source === 'object' ? { describedObject: given['target'] } : {}),
      ...(given['metricName'] === undefined
        ? {}
        : { metric: { name: given['metricName'], ...(selector ? { selector } : {}) } }),
      [side]: side === 'target' ? { type: targetType(amounts), ...amounts } : amounts,
    };
  }
  return metric as T;
}

const targetType = ({ averageUtilization, averageValue }: Amounts): string =>
  averageUtilization !== undefined ? 'Utilization' : averageValue !== undefined ? 'AverageValue' : 'Value';

export const flatSpec = (metric: MetricSpec): FlatMetric => flatten(metric, 'target', targetNames);
export const flatStatus = (metric: MetricStatus): FlatMetric => flatten(metric, 'current', currentNames);
export const nestedSpec = (flat: FlatMetric): MetricSpec => nest(flat, 'target', targetNames);
export const nestedStatus = (flat: FlatMetric): MetricStatus => nest(flat, 'current', currentNames);
