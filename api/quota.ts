import { isTerminal, type Pod } from './kinds/pod.ts';
import { qosClass } from './qos-class.ts';
import type { ResourceQuota, ScopeRequirement } from './kinds/resource-quota.ts';
import type { KubeObject } from './meta.ts';
import { podResources, type Quantities } from './pod-resources.ts';

/** A kind, as far as quotas know it. */
export interface QuotaKind {
  group: string;
  plural: string;
}

/** Core kinds that have a name of their own beside `count/<plural>`. */
const counted = new Set([
  ...[
    'configmaps',
    'persistentvolumeclaims',
    'pods',
    'replicationcontrollers',
    'resourcequotas',
    'secrets',
    'services',
  ],
]);

/**
 * What an object uses of quotas, by the names that `spec.hard` has: `pods`, `requests.cpu`, `count/jobs.batch` …
 * https://kubernetes.io/docs/concepts/policy/resource-quotas/
 */
export function usageOf(kind: QuotaKind, object: Readonly<KubeObject>): Quantities {
  const count = `count/${kind.plural}${kind.group ? `.${kind.group}` : ''}`;
  if (kind.group !== '') return { [count]: '1' };
  if (kind.plural === 'pods') return podUsage(object as Pod, count);
  const usage: Quantities = { [count]: '1', ...(counted.has(kind.plural) ? { [kind.plural]: '1' } : {}) };
  if (kind.plural === 'services') Object.assign(usage, serviceUsage(object));
  if (kind.plural === 'persistentvolumeclaims') Object.assign(usage, claimUsage(object));
  return usage;
}

/** A pod that has ended is still an object, and nothing else. */
function podUsage(pod: Pod, count: string): Quantities {
  if (isTerminal(pod)) return { [count]: '1' };
  const usage: Quantities = { [count]: '1', pods: '1' };
  const plain = new Set(['cpu', 'memory', 'ephemeral-storage']);
  for (const [name, amount] of Object.entries(podResources(pod.spec, 'requests'))) {
    usage[`requests.${name}`] = amount;
    if (plain.has(name) || name.startsWith('hugepages-')) usage[name] = amount;
  }
  for (const [name, amount] of Object.entries(podResources(pod.spec, 'limits')))
    if (plain.has(name)) usage[`limits.${name}`] = amount;
  return usage;
}

function serviceUsage(object: Readonly<KubeObject>): Quantities {
  const { spec = {} } = object as {
    spec?: { type?: string; ports?: unknown[]; allocateLoadBalancerNodePorts?: boolean };
  };
  const ports = String(spec.ports?.length ?? 0);
  if (spec.type === 'NodePort') return { 'services.nodeports': ports };
  if (spec.type !== 'LoadBalancer') return {};
  const nodePorts = spec.allocateLoadBalancerNodePorts === false ? '0' : ports;
  return { 'services.nodeports': nodePorts, 'services.loadbalancers': '1' };
}

function claimUsage(object: Readonly<KubeObject>): Quantities {
  const { spec = {} } = object as {
    spec?: { storageClassName?: string; resources?: { requests?: Record<string, string> } };
  };
  const storage = spec.resources?.requests?.['storage'];
  const ofClass = spec.storageClassName ? `${spec.storageClassName}.storageclass.storage.k8s.io/` : undefined;
  return {
    ...(storage ? { 'requests.storage': storage } : {}),
    ...(ofClass ? { [`${ofClass}persistentvolumeclaims`]: '1' } : {}),
    ...(ofClass && storage ? { [`${ofClass}requests.storage`]: storage } : {}),
  };
}

/** Is the object one of those that the quota is about? */
export function inScope(
  { spec = {} }: Readonly<ResourceQuota>,
  kind: QuotaKind,
  object: Readonly<KubeObject>,
): boolean {
  const requirements: ScopeRequirement[] = [
    ...(spec.scopes ?? []).map((scopeName) => ({ scopeName, operator: 'Exists' as const })),
    ...(spec.scopeSelector?.matchExpressions ?? []),
  ];
  if (requirements.length === 0) return true;
  if (kind.group !== '') return false;
  if (kind.plural === 'persistentvolumeclaims')
    return requirements.every(
      (one) => one.scopeName === 'VolumeAttributesClass' && meets(one, attributesClass(object)),
    );
  return kind.plural === 'pods' && requirements.every((one) => podMeets(one, object as Pod));
}

const attributesClass = (object: Readonly<KubeObject>): string | undefined =>
  (object as { spec?: { volumeAttributesClassName?: string } }).spec?.volumeAttributesClassName;

function podMeets(requirement: ScopeRequirement, pod: Pod): boolean {
  const ends = (pod.spec.activeDeadlineSeconds ?? -1) >= 0;
  switch (requirement.scopeName) {
    case 'Terminating':
      return ends;
    case 'NotTerminating':
      return !ends;
    case 'BestEffort':
      return qosClass(pod.spec) === 'BestEffort';
    case 'NotBestEffort':
      return qosClass(pod.spec) !== 'BestEffort';
    case 'PriorityClass':
      return meets(requirement, pod.spec.priorityClassName);
    case 'CrossNamespacePodAffinity':
      return crossesNamespaces(pod);
    default:
      return false;
  }
}

function meets({ operator, values = [] }: ScopeRequirement, value: string | undefined): boolean {
  const has = value !== undefined && value !== '';
  if (operator === 'Exists') return has;
  if (operator === 'DoesNotExist') return !has;
  // Who has none is not in the list either.
  return operator === 'In' ? has && values.includes(value) : !(has && values.includes(value));
}

interface Term {
  namespaces?: string[];
  namespaceSelector?: unknown;
}

function crossesNamespaces({ spec }: Pod): boolean {
  const kinds = [spec.affinity?.podAffinity, spec.affinity?.podAntiAffinity] as (
    Record<string, unknown[]> | undefined
  )[];
  return kinds.some((affinity) =>
    [
      ...((affinity?.['requiredDuringSchedulingIgnoredDuringExecution'] ?? []) as Term[]),
      ...((affinity?.['preferredDuringSchedulingIgnoredDuringExecution'] ?? []) as { podAffinityTerm?: Term }[]).map(
        ({ podAffinityTerm }) => podAffinityTerm ?? {},
      ),
    ].some((term) => (term.namespaces?.length ?? 0) > 0 || term.namespaceSelector !== undefined),
  );
}
