import { prefix } from '../../api/kinds/names.ts';
import type { Pod } from '../../api/kinds/pod.ts';

/** Labels by which pods and containers are found again in a runtime that others use too; the first four are a kubelet's own. */
export const labels = {
  podName: 'io.kubernetes.pod.name',
  podNamespace: 'io.kubernetes.pod.namespace',
  podUid: 'io.kubernetes.pod.uid',
  containerName: 'io.kubernetes.container.name',
  /** Whose pods these are: others' are never touched. */
  owner: `${prefix}owner`,
} as const;

export const podName = ({ metadata }: Pod) => ({
  name: metadata.name ?? '',
  namespace: metadata.namespace ?? '',
  uid: metadata.uid ?? '',
});

export function podLabels(pod: Pod, owner: string): Record<string, string> {
  const { name, namespace, uid } = podName(pod);
  return { [labels.podName]: name, [labels.podNamespace]: namespace, [labels.podUid]: uid, [labels.owner]: owner };
}
