import type { Node } from '../../api/kinds/node.ts';
import type { NodeSelectorRequirement, NodeSelectorTerm } from '../../api/kinds/pod.ts';
import type { Plugin } from '../plugin.ts';

/** nodeSelector, required node affinity, and the score of preferred node affinity. */
export const nodeAffinity: Plugin = {
  name: 'NodeAffinity',
  filter: ({
    pod: {
      spec: { nodeSelector, affinity },
    },
  }) => {
    const labels = Object.entries(nodeSelector ?? {});
    const terms = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
    if (labels.length === 0 && !terms) return undefined;
    return ({ node }) =>
      labels.every(([key, value]) => node.metadata.labels?.[key] === value) &&
      (!terms || terms.some((term) => matches(term, node)))
        ? undefined
        : "node(s) didn't match Pod's node affinity/selector";
  },
  score: ({
    pod: {
      spec: { affinity },
    },
    nodes,
  }) => {
    const preferred = affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution;
    if (!preferred?.length) return undefined;
    const weightOf = (node: Node) =>
      preferred.reduce((sum, { weight, preference }) => sum + (matches(preference, node) ? weight : 0), 0);
    const most = Math.max(0, ...nodes.map(({ node }) => weightOf(node)));
    return most === 0 ? undefined : ({ node }) => (100 * weightOf(node)) / most;
  },
};

/** All expressions and fields of a term must hold; an empty term matches nothing. */
export function matches({ matchExpressions = [], matchFields = [] }: NodeSelectorTerm, node: Node): boolean {
  if (matchExpressions.length + matchFields.length === 0) return false;
  return (
    matchExpressions.every((r) => holds(r, node.metadata.labels?.[r.key])) &&
    matchFields.every((r) => r.key === 'metadata.name' && holds(r, node.metadata.name))
  );
}

function holds({ operator, values = [] }: NodeSelectorRequirement, value: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
      return compare(value, values[0], (a, b) => a > b);
    case 'Lt':
      return compare(value, values[0], (a, b) => a < b);
  }
}

/** Both must be integers, as the API demands. */
function compare(
  value: string | undefined,
  bound: string | undefined,
  test: (a: bigint, b: bigint) => boolean,
): boolean {
  const integer = /^[+-]?\d+$/;
  return (
    value !== undefined &&
    bound !== undefined &&
    integer.test(value) &&
    integer.test(bound) &&
    test(BigInt(value), BigInt(bound))
  );
}
