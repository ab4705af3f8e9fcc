import { equal } from '../lib/equal.ts';
import { bad } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { NodeSelectorTerm, PodSpec } from './kinds/pod.ts';

const onlyMore = 'only additions are allowed (no mutations or deletions)';

/**
 * A pod behind a scheduling gate may be told more closely where to go, never elsewhere.
 * https://kubernetes.io/docs/concepts/scheduling-eviction/pod-scheduling-readiness/#mutable-pod-scheduling-directives
 */
export function validateNarrowing(spec: PodSpec, old: PodSpec): FieldError[] {
  const errors: FieldError[] = [];
  const { nodeSelector = {} } = spec;
  if (Object.entries(old.nodeSelector ?? {}).some(([key, value]) => nodeSelector[key] !== value))
    errors.push(bad('spec.nodeSelector', nodeSelector, onlyMore));
  const [terms, before] = [termsOf(spec), termsOf(old)];
  const at = 'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms';
  if (before.length > 0 && terms.length !== before.length)
    errors.push(bad(at, terms, 'no additions/deletions to non-empty NodeSelectorTerms list are allowed'));
  else
    for (const [i, term] of before.entries())
      if (!narrows(terms[i]!, term)) errors.push(bad(`${at}[${i}]`, terms[i], onlyMore));
  return errors;
}

const termsOf = ({ affinity }: PodSpec): readonly NodeSelectorTerm[] =>
  affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];

/** All that an empty term matches is nothing, so one that says more would match more. */
function narrows(term: NodeSelectorTerm, old: NodeSelectorTerm): boolean {
  const count = ({ matchExpressions = [], matchFields = [] }: NodeSelectorTerm) =>
    matchExpressions.length + matchFields.length;
  if (count(old) === 0) return count(term) === 0;
  return (['matchExpressions', 'matchFields'] as const).every((name) => {
    const before = old[name] ?? [];
    return equal((term[name] ?? []).slice(0, before.length), before);
  });
}

/** The spec without what a gate leaves open. */
export function withoutNodeSelection({ nodeSelector: _, affinity, ...rest }: PodSpec): PodSpec {
  const { nodeAffinity: __, ...others } = affinity ?? {};
  return { ...rest, ...(Object.keys(others).length > 0 ? { affinity: others } : {}) };
}
