import type {
  CrossReference,
  MetricSpec,
  MetricStatus,
  MetricTarget,
} from '../../api/kinds/horizontal-pod-autoscaler.ts';
import { type Pod, isTerminal } from '../../api/kinds/pod.ts';
import type { LabelSelector, Stored } from '../../api/meta.ts';
import { quantity } from '../../api/quantity.ts';
import { formatSelector, fromLabelSelector } from '../../api/selector.ts';
import type { Client } from '../../client/client.ts';
import { type PodUse, replicasFor } from './autoscale.ts';
import { isReady } from './pods.ts';

/** What one metric says. */
export interface Proposal {
  replicas: number;
  status: MetricStatus;
}

/** What a metric is asked about. */
export interface Scaled {
  namespace: string;
  /** Text form, of the target's pods. */
  selector: string;
  pods: readonly (Pod & Stored)[];
  current: number;
  /** How the kind of another object is named in paths. */
  resourceOf: (object: CrossReference) => Promise<string>;
}

interface PodMetrics {
  metadata: { name: string };
  containers: { name: string; usage: Record<string, string> }[];
}

interface MetricValues {
  items: { value: string; describedObject?: { name: string } }[];
}

/** Asks the API that has the metric. Throws an Error or StatusError that says what could not be had. */
export async function propose(
  client: Client,
  metric: MetricSpec,
  scaled: Scaled,
  signal: AbortSignal,
): Promise<Proposal> {
  const { resource: own, containerResource, pods, object, external } = metric;
  if (own) {
    const { replicas, current } = await byResource(client, scaled, own.name, undefined, own.target, signal);
    return { replicas, status: { type: 'Resource', resource: { name: own.name, current } } };
  }
  if (containerResource) {
    const { name, container, target } = containerResource;
    const { replicas, current } = await byResource(client, scaled, name, container, target, signal);
    return { replicas, status: { type: 'ContainerResource', containerResource: { name, container, current } } };
  }
  const base = `/apis/custom.metrics.k8s.io/v1beta1/namespaces/${scaled.namespace}`;
  if (pods) {
    const path = `${base}/pods/*/${pods.metric.name}?labelSelector=${encodeURIComponent(scaled.selector)}`;
    const { items } = await client.raw<MetricValues>(
      'GET',
      withSelector(path, 'metricLabelSelector', pods.metric.selector),
      undefined,
      signal,
    );
    const values = new Map(items.map(({ value, describedObject }) => [describedObject?.name ?? '', quantity(value)]));
    const uses = scaled.pods.filter(isCounted).map((pod): PodUse => useOf(values.get(pod.metadata.name)));
    const { replicas, current } = average(uses, scaled.current, pods.target);
    return { replicas, status: { type: 'Pods', pods: { metric: pods.metric, current } } };
  }
  if (object) {
    const { describedObject, metric: name } = object;
    const resource = await scaled.resourceOf(describedObject);
    const of = resource === 'namespaces' ? 'metrics' : `${resource}/${describedObject.name}`;
    const path = `${base}/${of}/${name.name}`;
    const { items } = await client.raw<MetricValues>(
      'GET',
      withSelector(path, 'metricLabelSelector', name.selector),
      undefined,
      signal,
    );
    const { replicas, current } = bySum(items, scaled, object.target);
    return { replicas, status: { type: 'Object', object: { describedObject, metric: name, current } } };
  }
  if (!external) throw new Error(`metric of type ${metric.type} has no source`);
  const path = `/apis/external.metrics.k8s.io/v1beta1/namespaces/${scaled.namespace}/${external.metric.name}`;
  const { items } = await client.raw<MetricValues>(
    'GET',
    withSelector(path, 'labelSelector', external.metric.selector),
    undefined,
    signal,
  );
  const { replicas, current } = bySum(items, scaled, external.target);
  return { replicas, status: { type: 'External', external: { metric: external.metric, current } } };
}

const isCounted = (pod: Pod): boolean => !pod.metadata.deletionTimestamp && !isTerminal(pod);
const useOf = (value: number | undefined): PodUse => (value === undefined ? {} : { value });

function withSelector(path: string, name: string, selector: LabelSelector | undefined): string {
  const text = formatSelector(fromLabelSelector(selector) ?? []);
  return text ? `${path}${path.includes('?') ? '&' : '?'}${name}=${encodeURIComponent(text)}` : path;
}

async function byResource(
  client: Client,
  { namespace, selector, pods, current }: Scaled,
  resource: string,
  container: string | undefined,
  target: MetricTarget,
  signal: AbortSignal,
) {
  const path = `/apis/metrics.k8s.io/v1beta1/namespaces/${namespace}/pods?labelSelector=${encodeURIComponent(selector)}`;
  const { items } = await client.raw<{ items: PodMetrics[] }>('GET', path, undefined, signal);
  return average(
    resourceUses(pods, items, resource, container, target.averageUtilization !== undefined),
    current,
    target,
  );
}

/** What each pod uses of a resource, all its containers together or one of them; with requests where a share is wanted. */
export function resourceUses(
  pods: readonly (Pod & Stored)[],
  metrics: readonly PodMetrics[],
  resource: string,
  container: string | undefined,
  isShare: boolean,
): PodUse[] {
  const measured = new Map(metrics.map(({ metadata, containers }) => [metadata.name, containers]));
  return pods.filter(isCounted).map((pod) => {
    const own = measured.get(pod.metadata.name)?.filter(({ name }) => !container || name === container);
    const value = own?.reduce((sum, { usage }) => sum + quantity(usage[resource] ?? '0'), 0);
    const asked = pod.spec.containers
      .filter(({ name }) => !container || name === container)
      .map(({ name, resources }) => {
        const request = resources?.requests?.[resource];
        if (isShare && !request)
          throw new Error(`missing request for ${resource} in container ${name} of Pod ${pod.metadata.name}`);
        return quantity(request ?? '0');
      });
    return {
      ...useOf(value),
      ...(isShare ? { request: asked.reduce((sum, one) => sum + one, 0) } : {}),
      // A pod that starts is busy with starting.
      ...(resource === 'cpu' && (pod.status?.phase === 'Pending' || !isReady(pod)) ? { unready: true } : {}),
    };
  });
}

function average(uses: readonly PodUse[], current: number, target: MetricTarget) {
  const { averageUtilization, averageValue } = target;
  const wanted = averageUtilization === undefined ? quantity(averageValue ?? '0') : averageUtilization / 100;
  const replicas = replicasFor(uses, wanted, current);
  if (replicas === undefined) throw new Error('did not receive metrics for targeted pods (pods might be unready)');
  const measured = uses.filter(({ value }) => value !== undefined);
  const sum = measured.reduce((total, { value = 0 }) => total + value, 0);
  const requested = measured.reduce((total, { request = 0 }) => total + request, 0);
  const shown = {
    averageValue: inMilli(sum / measured.length),
    ...(averageUtilization === undefined ? {} : { averageUtilization: Math.round((100 * sum) / requested) }),
  };
  return { replicas, current: shown };
}

/** One number for all pods: as it is, or spread over them. */
function bySum(items: MetricValues['items'], { pods, current }: Scaled, { value, averageValue }: MetricTarget) {
  if (items.length === 0) throw new Error('no values for the metric');
  const sum = items.reduce((total, item) => total + quantity(item.value), 0);
  const isNear = (ratio: number) => Math.abs(ratio - 1) <= 0.1;
  if (averageValue !== undefined) {
    const wanted = Math.ceil(sum / quantity(averageValue));
    const replicas = isNear(sum / (quantity(averageValue) * current)) ? current : wanted;
    return { replicas, current: { averageValue: inMilli(sum / Math.max(1, current)) } };
  }
  const ratio = sum / quantity(value ?? '0');
  const ready = pods.filter((pod) => isCounted(pod) && isReady(pod)).length;
  return { replicas: isNear(ratio) ? current : Math.ceil(ratio * ready), current: { value: inMilli(sum) } };
}

const inMilli = (amount: number): string =>
  Number.isInteger(amount) ? String(amount) : `${Math.ceil(amount * 1000)}m`;
