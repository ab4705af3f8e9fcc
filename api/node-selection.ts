import type { Node, Taint } from './kinds/node.ts';
import type { NodeSelectorRequirement, NodeSelectorTerm, Pod, Toleration } from './kinds/pod.ts';

/** https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/ */
export function tolerates(tolerations: readonly Toleration[] = [], taint: Taint): boolean {
  return tolerations.some((toleration) => toleratesTaint(toleration, taint));
}

export const toleratesTaint = (
  { key, operator = 'Equal', value = '', effect }: Toleration,
  taint: Pick<Taint, 'key' | 'value' | 'effect'>,
): boolean =>
  (!effect || effect === taint.effect) &&
  (!key ? operator === 'Exists' : key === taint.key) &&
  (operator === 'Exists' || value === (taint.value ?? ''));

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
