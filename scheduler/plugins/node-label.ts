import type { Plugin } from '../plugin.ts';

export interface NodeLabelArgs {
  /** Labels a node must have, whatever their value. */
  presentLabels?: string[];
  /** Labels a node must not have. */
  absentLabels?: string[];
  presentLabelsPreference?: string[];
  absentLabelsPreference?: string[];
}

/** Nodes with or without labels, as the operator wants; the CheckNodeLabelPresence and CalculateNodeLabelPriority of old. */
export function nodeLabel(args: NodeLabelArgs): Plugin {
  const { presentLabels = [], absentLabels = [], presentLabelsPreference = [], absentLabelsPreference = [] } = args;
  const wishes = presentLabelsPreference.length + absentLabelsPreference.length;
  return {
    name: 'NodeLabel',
    filterGoesBy: () => null,
    scoreGoesBy: () => null,
    filter: () =>
      presentLabels.length + absentLabels.length === 0
        ? undefined
        : ({ node: { metadata } }) => {
            const has = (label: string) => metadata.labels?.[label] !== undefined;
            const fits = presentLabels.every(has) && !absentLabels.some(has);
            return fits ? undefined : "node(s) didn't have the requested labels";
          },
    score: () =>
      wishes === 0
        ? undefined
        : ({ node: { metadata } }) => {
            const has = (label: string) => metadata.labels?.[label] !== undefined;
            const met =
              presentLabelsPreference.filter(has).length + absentLabelsPreference.filter((label) => !has(label)).length;
            return (100 * met) / wishes;
          },
  };
}
