import type { Pod } from '../../api/kinds/pod.ts';
import { isTerminal } from '../../api/kinds/pod.ts';
import type { Stored } from '../../api/meta.ts';
import type { PodTemplate } from '../../api/pod-spec-defaults.ts';

const ready = (pod: Pod) => pod.status?.conditions?.find(({ type, status }) => type === 'Ready' && status === 'True');

export const isReady = (pod: Pod): boolean => ready(pod) !== undefined;

/** Ready for at least so long: what a rollout counts. */
export function isAvailable(pod: Pod, minReadySeconds: number, now: number): boolean {
  const condition = ready(pod);
  if (!condition) return false;
  return minReadySeconds === 0 || now - Date.parse(condition.lastTransitionTime ?? '') >= minReadySeconds * 1000;
}

/** Counts as one of its controller's replicas. */
export const isActive = (pod: Pod): boolean => !isTerminal(pod) && !pod.metadata.deletionTimestamp;

/** A pod as a template describes it, named after its controller. */
export function podFrom(template: PodTemplate, name: string, namespace: string): Pod {
  const { labels, annotations } = template.metadata ?? {};
  return {
    metadata: {
      generateName: `${name}-`,
      namespace,
      ...(labels ? { labels } : {}),
      ...(annotations ? { annotations } : {}),
    },
    spec: structuredClone(template.spec),
  };
}

/**
 * Which pods to delete first: not assigned before assigned, pending before running, not ready before ready, lower deletion
 * cost, more siblings on the node, younger, more restarts.
 * https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#scaling-a-replicaset
 */
export function deletionOrder(pods: readonly (Pod & Stored)[]): (Pod & Stored)[] {
  const onNode = new Map<string, number>();
  for (const { spec } of pods) onNode.set(spec.nodeName ?? '', (onNode.get(spec.nodeName ?? '') ?? 0) + 1);
  const rank = (pod: Pod & Stored): number[] => [
    pod.spec.nodeName ? 1 : 0,
    pod.status?.phase === 'Running' ? 1 : 0,
    isReady(pod) ? 1 : 0,
    Number(pod.metadata.annotations?.['controller.kubernetes.io/pod-deletion-cost'] ?? 0),
    -(onNode.get(pod.spec.nodeName ?? '') ?? 0),
    -Date.parse(pod.metadata.creationTimestamp ?? ''),
    -(pod.status?.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0),
  ];
  return pods
    .map((pod) => ({ pod, rank: rank(pod) }))
    .sort((a, b) => a.rank.map((n, i) => n - b.rank[i]!).find((n) => n !== 0) ?? 0)
    .map(({ pod }) => pod);
}
