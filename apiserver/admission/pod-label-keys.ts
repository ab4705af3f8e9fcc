import { Pod, type PodAffinityTerm } from '../../api/kinds/pod.ts';
import type { LabelSelector } from '../../api/meta.ts';
import type { AdmissionRule } from './order.ts';

/**
 * What `matchLabelKeys` and `mismatchLabelKeys` mean for a pod with its labels, as they are when it is made, stands in its
 * selectors from then on. https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#matchlabelkeys
 */
export function podLabelKeys(): AdmissionRule {
  // A pod whose generated name was taken is admitted once more.
  const merged = new WeakSet<object>();
  return {
    name: 'PodLabelKeys',
    mutate: ({ operation, kind, object, options }) => {
      if (operation !== 'create' || options.subresource || kind.group !== '' || kind.plural !== Pod.plural) return;
      if (merged.has(object)) return;
      merged.add(object);
      mergeAll(object as Pod);
    },
  };
}

function mergeAll({ spec, metadata }: Pod): void {
  const { podAffinity, podAntiAffinity } = spec?.affinity ?? {};
  const terms = [podAffinity, podAntiAffinity].flatMap((affinity) => [
    ...(affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
    ...(affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ podAffinityTerm }) => podAffinityTerm),
  ]);
  for (const term of [...terms, ...(spec?.topologySpreadConstraints ?? [])]) {
    const { labelSelector, matchLabelKeys, mismatchLabelKeys } = (term ?? {}) as Partial<PodAffinityTerm>;
    if (!labelSelector) continue;
    merge(labelSelector, matchLabelKeys, 'In', metadata.labels);
    merge(labelSelector, mismatchLabelKeys, 'NotIn', metadata.labels);
  }
}

function merge(
  selector: LabelSelector,
  keys: readonly string[] | undefined,
  operator: 'In' | 'NotIn',
  labels: Readonly<Record<string, string>> = {},
): void {
  for (const key of keys ?? [])
    if (labels[key] !== undefined)
      selector.matchExpressions = [...(selector.matchExpressions ?? []), { key, operator, values: [labels[key]] }];
}
