import { equal } from '../lib/equal.ts';
import { bad, forbiddenField } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { Container, Pod, PodSpec } from './kinds/pod.ts';
import { validateNarrowing, withoutNodeSelection } from './pod-gated-update.ts';

const podUpdateRule =
  'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)';

/** What an update of a pod may change: hardly anything. */
export function validatePodUpdate(pod: Pod, old: Pod): FieldError[] {
  const errors: FieldError[] = [];
  if (pod.spec.containers.length !== old.spec.containers.length)
    errors.push(forbiddenField('spec.containers', 'pod updates may not add or remove containers'));
  const before = old.spec.activeDeadlineSeconds;
  const after = pod.spec.activeDeadlineSeconds;
  if (before !== undefined && (after === undefined || after > before))
    errors.push(bad('spec.activeDeadlineSeconds', after ?? '', 'must be less than or equal to previous value'));
  const lost = (old.spec.tolerations ?? []).filter(
    (one) =>
      !(pod.spec.tolerations ?? []).some((other) =>
        equal({ ...one, tolerationSeconds: 0 }, { ...other, tolerationSeconds: 0 }),
      ),
  );
  if (lost.length > 0)
    errors.push(
      forbiddenField('spec.tolerations', 'existing toleration can not be modified except its tolerationSeconds'),
    );
  const isGated = (old.spec.schedulingGates?.length ?? 0) > 0;
  if (isGated) errors.push(...validateNarrowing(pod.spec, old.spec));
  const gates = new Set((old.spec.schedulingGates ?? []).map((gate) => gate.name));
  for (const [i, gate] of (pod.spec.schedulingGates ?? []).entries())
    if (!gates.has(gate.name))
      errors.push(
        forbiddenField(
          `spec.schedulingGates[${i}].name`,
          `only deletion is allowed, but found new scheduling gate '${gate.name}'`,
        ),
      );
  const fixed = ({ spec }: Pod) => fixedPart(isGated ? withoutNodeSelection(spec) : spec, old);
  if (errors.length === 0 && !equal(fixed(pod), fixed(old))) errors.push(forbiddenField('spec', podUpdateRule));
  return errors;
}

/** A pod's spec with everything that may change taken from `old`. */
function fixedPart(spec: PodSpec, old: Pod): PodSpec {
  const images = (containers: Container[] | undefined, from: Container[] | undefined) =>
    containers?.map((c, i) => ({ ...c, image: from?.[i]?.image ?? '' }));
  const { initContainers, activeDeadlineSeconds: _, tolerations: __, schedulingGates: ___, ...rest } = spec;
  const init = images(initContainers, old.spec.initContainers);
  return {
    ...rest,
    containers: images(spec.containers, old.spec.containers)!,
    ...(init ? { initContainers: init } : {}),
  };
}
