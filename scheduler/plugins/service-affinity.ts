import type { Pod } from '../../api/kinds/pod.ts';
import { matchesLabelSelector } from '../../api/selector.ts';
import type { NodeView } from '../cluster.ts';
import type { Ask, Plugin } from '../plugin.ts';
import { namespaceOf } from '../pod-selection.ts';

export interface ServiceAffinityArgs {
  /** Pods of one service go to nodes with the same values of these labels. */
  affinityLabels?: string[];
}

/** The CheckServiceAffinity of old. What the pod's own nodeSelector says of a label comes first. */
export function serviceAffinity({ affinityLabels = [] }: ServiceAffinityArgs): Plugin {
  return {
    name: 'ServiceAffinity',
    filter: (ask) => {
      const wanted: Record<string, string> = {};
      for (const label of affinityLabels) {
        const own = ask.pod.spec.nodeSelector?.[label];
        if (own !== undefined) wanted[label] = own;
      }
      const open = affinityLabels.filter((label) => !(label in wanted));
      const companion = open.length > 0 ? nodeOfCompanion(ask) : undefined;
      for (const label of open) {
        const value = companion?.node.metadata.labels?.[label];
        if (value !== undefined) wanted[label] = value;
      }
      const pairs = Object.entries(wanted);
      if (pairs.length === 0) return undefined;
      return ({ node }) =>
        pairs.every(([label, value]) => node.metadata.labels?.[label] === value)
          ? undefined
          : "node(s) didn't match service affinity";
    },
  };
}

/** Where some pod of the same service runs. */
function nodeOfCompanion({ pod, nodes, world }: Ask): NodeView | undefined {
  const selectors = world?.serviceSelectors?.(namespaceOf(pod)) ?? [];
  const mine = selectors.filter((matchLabels) => matchesLabelSelector({ matchLabels }, pod.metadata.labels));
  if (mine.length === 0) return undefined;
  const isOne = (other: Pod) =>
    namespaceOf(other) === namespaceOf(pod) &&
    mine.some((matchLabels) => matchesLabelSelector({ matchLabels }, other.metadata.labels));
  return nodes.find(({ pods }) => [...pods.values()].some(isOne));
}
