import type { Node } from '../../api/kinds/node.ts';
import type { Affinity, NodeSelectorRequirement, NodeSelectorTerm, Pod } from '../../api/kinds/pod.ts';
import type { Plugin } from '../plugin.ts';

type NodeAffinity = NonNullable<Affinity['nodeAffinity']>;

export interface NodeAffinityArgs {
  /** Demands of the cluster's operator, beside those of each pod. */
  addedAffinity?: NodeAffinity;
}

const refused = "node(s) didn't match Pod's node affinity/selector";
const refusedByAdded = "node(s) didn't match scheduler-enforced node affinity";

/** nodeSelector, required node affinity, and the score of preferred node affinity. */
export function nodeAffinity({ addedAffinity }: NodeAffinityArgs = {}): Plugin {
  const addedTerms = addedAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  const addedPreferred = addedAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  return {
    name: 'NodeAffinity',
    filter: ({ pod }) => {
      const fits = fitsAffinity(pod);
      if (!fits && !addedTerms) return undefined;
      return ({ node }) => {
        if (addedTerms && !addedTerms.some((term) => matches(term, node))) return refusedByAdded;
        return !fits || fits(node) ? undefined : refused;
      };
    },
    score: ({ pod, nodes }) => {
      const own = pod.spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
      const preferred = [...addedPreferred, ...own];
      if (preferred.length === 0) return undefined;
      const weightOf = (node: Node) =>
        preferred.reduce((sum, { weight, preference }) => sum + (matches(preference, node) ? weight : 0), 0);
      const most = nodes.reduce((max, { node }) => Math.max(max, weightOf(node)), 0);
      return most === 0 ? undefined : ({ node }) => (100 * weightOf(node)) / most;
    },
  };
}

/** The test of a pod's nodeSelector and required node affinity; undefined where it has neither. */
export function fitsAffinity({ spec: { nodeSelector, affinity } }: Pod): ((node: Node) => boolean) | undefined {
  const labels = Object.entries(nodeSelector ?? {});
  const terms = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  if (labels.length === 0 && !terms) return undefined;
  return (node) =>
    labels.every(([key, value]) => node.metadata.labels?.[key] === value) &&
    (!terms || terms.some((term) => matches(term, node)));
}

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
