import { LimitRange, type LimitRangeItem } from '../../api/kinds/limit-range.ts';
import type { Container, Pod } from '../../api/kinds/pod.ts';
import type { KubeObject } from '../../api/meta.ts';
import { podResources, type Quantities } from '../../api/pod-resources.ts';
import { canonicalQuantity, compareQuantities, quantity } from '../../api/quantity.ts';
import type { Feed } from '../feed.ts';
import type { AdmissionRequest, AdmissionRule } from './order.ts';
import { containersOf, creates, refusal, writes } from './requests.ts';

/**
 * What a namespace's LimitRanges say: containers get their defaults, and containers, pods and claims stay within bounds.
 * https://kubernetes.io/docs/concepts/policy/limit-range/
 */
export const limitRanger = (feed: Feed): AdmissionRule => {
  const limitsFor = ({ object }: AdmissionRequest): LimitRangeItem[] => {
    const cache = feed.cache(LimitRange);
    if (cache.size === 0) return [];
    return cache
      .list(object.metadata.namespace ?? '')
      .flatMap((entry) => (entry.object as Readonly<LimitRange>).spec?.limits ?? []);
  };
  return {
    name: 'LimitRanger',
    mutate: (request) => {
      if (!creates(request, 'pods')) return;
      for (const limit of limitsFor(request)) if (limit.type === 'Container') setDefaults(request.object as Pod, limit);
    },
    validate: (request) => {
      const isPod = creates(request, 'pods');
      if (!isPod && !writes(request, 'persistentvolumeclaims')) return;
      const wrong = limitsFor(request).flatMap((limit) =>
        isPod ? podFaults(request.object as Pod, limit) : claimFaults(request.object, limit),
      );
      if (wrong.length === 1) throw refusal(request, wrong[0]!);
      if (wrong.length > 1) throw refusal(request, `[${wrong.join(', ')}]`);
    },
  };
};

const annotation = 'kubernetes.io/limit-ranger';

function setDefaults(pod: Pod, limit: LimitRangeItem): void {
  const said: string[] = [];
  const init = pod.spec.initContainers ?? [];
  for (const container of containersOf(pod.spec)) {
    const { requests = {}, limits = {} } = container.resources ?? {};
    const missing = (own: Quantities, given: Quantities = {}) =>
      Object.keys(given)
        .filter((name) => !(name in own))
        .sort();
    const newRequests = missing(requests, limit.defaultRequest);
    const newLimits = missing(limits, limit.default);
    const which = `${init.includes(container) ? 'init container' : 'container'} ${container.name}`;
    if (newRequests.length > 0) said.push(`${newRequests.join(', ')} request for ${which}`);
    if (newLimits.length > 0) said.push(`${newLimits.join(', ')} limit for ${which}`);
    if (newRequests.length + newLimits.length === 0) continue;
    container.resources = {
      ...container.resources,
      requests: { ...limit.defaultRequest, ...requests },
      limits: { ...limit.default, ...limits },
    };
  }
  if (said.length > 0)
    pod.metadata.annotations = {
      ...pod.metadata.annotations,
      [annotation]: `LimitRanger plugin set: ${said.join('; ')}`,
    };
}

function podFaults({ spec }: Pod, limit: LimitRangeItem): string[] {
  if (limit.type === 'Container')
    return containersOf(spec).flatMap(({ resources }: Container) =>
      faults(limit, resources?.requests ?? {}, resources?.limits ?? {}),
    );
  if (limit.type !== 'Pod') return [];
  return faults(limit, podResources(spec, 'requests'), podResources(spec, 'limits'));
}

function claimFaults(object: Readonly<KubeObject>, limit: LimitRangeItem): string[] {
  if (limit.type !== 'PersistentVolumeClaim') return [];
  const { spec } = object as { spec?: { resources?: { requests?: Quantities } } };
  const requests = spec?.resources?.requests ?? {};
  // A claim has no limits: its request is what counts against both bounds.
  return faults(limit, requests, requests).map((fault) => fault.replace('but limit is', 'but request is'));
}

function faults(
  { type, min = {}, max = {}, maxLimitRequestRatio = {} }: LimitRangeItem,
  requests: Quantities,
  limits: Quantities,
): string[] {
  const shown = canonicalQuantity;
  const below = Object.entries(min).flatMap(([name, least]) => {
    const rule = `minimum ${name} usage per ${type} is ${shown(least)}`;
    const [request, limit] = [requests[name], limits[name]];
    if (request === undefined) return [`${rule}.  No request is specified`];
    if (compareQuantities(request, least) < 0) return [`${rule}, but request is ${shown(request)}`];
    return limit !== undefined && compareQuantities(limit, least) < 0 ? [`${rule}, but limit is ${shown(limit)}`] : [];
  });
  const above = Object.entries(max).flatMap(([name, most]) => {
    const rule = `maximum ${name} usage per ${type} is ${shown(most)}`;
    const [request, limit] = [requests[name], limits[name]];
    if (limit === undefined) return [`${rule}.  No limit is specified`];
    if (compareQuantities(limit, most) > 0) return [`${rule}, but limit is ${shown(limit)}`];
    return request !== undefined && compareQuantities(request, most) > 0
      ? [`${rule}, but request is ${shown(request)}`]
      : [];
  });
  const apart = Object.entries(maxLimitRequestRatio).flatMap(([name, most]) => {
    const rule = `${name} max limit to request ratio per ${type} is ${shown(most)}`;
    const [request, limit] = [requests[name], limits[name]];
    if (!request || quantity(request) === 0) return [`${rule}, but no request is specified or request is 0`];
    if (!limit || quantity(limit) === 0) return [`${rule}, but no limit is specified or limit is 0`];
    const ratio = quantity(limit) / quantity(request);
    return ratio > quantity(most) ? [`${rule}, but provided ratio is ${ratio.toFixed(6)}`] : [];
  });
  return [...below, ...above, ...apart];
}
