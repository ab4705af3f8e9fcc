import type { NodeView } from '../cluster.ts';
import { among, labelColumn } from '../column.ts';
import type { Ask, NodeScore, Plugin } from '../plugin.ts';
import { type PodSelection, alive, countColumn, namespaceOf, selects, servicesOf } from '../pod-selection.ts';

export interface ServiceAffinityArgs {
  /** Pods of one service go to nodes with the same values of these labels. */
  affinityLabels?: string[];
  /** Pods of one service rather go to nodes with different values of these. */
  antiAffinityLabelsPreference?: string[];
}

/** The CheckServiceAffinity and ServiceAntiAffinity of old. What the pod's own nodeSelector says of a label comes first. */
export function serviceAffinity(args: ServiceAffinityArgs): Plugin {
  const { affinityLabels = [], antiAffinityLabelsPreference = [] } = args;
  return {
    name: 'ServiceAffinity',
    filter: (ask) => sameValues(ask, affinityLabels),
    score: (ask) => otherValues(ask, antiAffinityLabelsPreference),
  };
}

function sameValues(ask: Ask, labels: readonly string[]) {
  const wanted: Record<string, string> = {};
  for (const label of labels) {
    const own = ask.pod.spec.nodeSelector?.[label];
    if (own !== undefined) wanted[label] = own;
  }
  const open = labels.filter((label) => !(label in wanted));
  const companion = open.length > 0 ? nodeOfCompanion(ask) : undefined;
  for (const label of open) {
    const value = companion?.node.metadata.labels?.[label];
    if (value !== undefined) wanted[label] = value;
  }
  const pairs = Object.entries(wanted);
  if (pairs.length === 0) return undefined;
  return ({ node }: NodeView) =>
    pairs.every(([label, value]) => node.metadata.labels?.[label] === value)
      ? undefined
      : "node(s) didn't match service affinity";
}

/** The smaller the part of the service's pods that nodes with the same value have the better; without a value there is nothing to win. */
function otherValues(ask: Ask, labels: readonly string[]): NodeScore | undefined {
  const companions = companionsOf(ask);
  if (labels.length === 0 || !companions) return undefined;
  const counts = among(ask, countColumn(alive(companions)));
  const sum = counts.reduce((one, other) => one + other, 0);
  const scores = counts.map(() => 0);
  for (const label of labels) {
    const values = among(ask, labelColumn(label));
    const byValue = new Map<string, number>();
    for (const [i, value] of values.entries())
      if (value !== undefined) byValue.set(value, (byValue.get(value) ?? 0) + counts[i]!);
    for (const [i, value] of values.entries()) {
      if (value === undefined) continue;
      const part = sum === 0 ? 0 : byValue.get(value)! / sum;
      scores[i]! += (100 * (1 - part)) / labels.length;
    }
  }
  return (_, i) => scores[i]!;
}

/** The pods of the pod's services. */
function companionsOf({ pod, world }: Ask): PodSelection | undefined {
  const namespace = namespaceOf(pod);
  const mine = servicesOf(pod, world);
  if (mine.length === 0) return undefined;
  return {
    key: `companions ${namespace} ${JSON.stringify(mine)}`,
    has: (other) => namespaceOf(other) === namespace && mine.some((selector) => selects(selector, other)),
  };
}

/** Where some pod of the same service runs. */
function nodeOfCompanion(ask: Ask): NodeView | undefined {
  const companions = companionsOf(ask);
  const counts = companions && countColumn(companions).of(ask.nodes);
  return counts && ask.nodes[counts.findIndex((count) => count > 0)];
}
