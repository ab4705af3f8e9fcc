import { bad, notSupported } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { Container, PodSpec } from './kinds/pod.ts';
import { containersResources } from './pod-resources.ts';
import { compareQuantities } from './quantity.ts';

/**
 * Requests and limits of a pod as a whole, which its containers share.
 * https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#pod-level-resource-specification
 */
const names = ['cpu', 'memory'];
const isShared = (name: string): boolean => names.includes(name) || name.startsWith('hugepages-');

/** A request that is left out is that of the containers together, or the limit where they ask for nothing. */
export function defaultPodLevelResources(spec: PodSpec): void {
  const { resources } = spec;
  if (!resources || Object.keys({ ...resources.limits, ...resources.requests }).length === 0) return;
  const asked = Object.entries(containersResources(spec, 'requests')).filter(([name]) => isShared(name));
  const requests = { ...resources.limits, ...Object.fromEntries(asked), ...resources.requests };
  if (Object.keys(requests).length > 0) resources.requests = requests;
}

export function validatePodLevelResources(spec: PodSpec, at: string): FieldError[] {
  const { limits = {}, requests = {} } = spec.resources ?? {};
  const together = containersResources(spec, 'requests');
  const containers = [...(spec.containers ?? []), ...(spec.initContainers ?? [])];
  return [
    ...unknown(limits, `${at}.limits`),
    ...unknown(requests, `${at}.requests`),
    ...Object.entries(requests).flatMap(([name, request]) => [
      ...above(request, limits[name], `${at}.requests`, `${name} limit of ${limits[name] ?? ''}`),
      ...below(request, together[name], `${at}.requests[${name}]`),
    ]),
    ...Object.entries(limits).flatMap(([name, limit]) =>
      containers.flatMap((container) => aboveLimit(container, name, limit)),
    ),
  ];
}

const unknown = (amounts: Record<string, string>, field: string): FieldError[] =>
  Object.keys(amounts)
    .filter((name) => !isShared(name))
    .map((name) => notSupported(field, name, [...names, 'hugepages-']));

const above = (amount: string, most: string | undefined, field: string, what: string): FieldError[] =>
  most !== undefined && compareQuantities(amount, most) > 0
    ? [bad(field, amount, `must be less than or equal to ${what}`)]
    : [];

const below = (amount: string, least: string | undefined, field: string): FieldError[] =>
  least !== undefined && compareQuantities(amount, least) < 0
    ? [bad(field, amount, `must be greater than or equal to aggregate container requests of ${least}`)]
    : [];

const aboveLimit = ({ name: container, resources }: Container, name: string, limit: string): FieldError[] =>
  above(
    resources?.limits?.[name] ?? '0',
    limit,
    `spec.containers[${container}].resources.limits[${name}]`,
    `pod limits of ${limit}`,
  );
