import { duplicate, forbiddenField, required } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { Pod, PodSpec } from './kinds/pod.ts';
import { checkDnsLabel, checkDnsSubdomain, checkQualifiedName } from './names.ts';
import { each, mustBeNamed, named, oneOf } from './rules.ts';

/** Rules on the names in a pod's spec: its own, those of other objects, and those that others wait for. */
export const validatePodNames = (spec: PodSpec, at: string): FieldError[] => [
  ...named(spec.serviceAccountName, checkDnsSubdomain, `${at}.serviceAccountName`),
  ...named(spec.nodeName, checkDnsSubdomain, `${at}.nodeName`),
  ...named(spec.hostname, checkDnsLabel, `${at}.hostname`),
  ...named(spec.subdomain, checkDnsLabel, `${at}.subdomain`),
  ...named(spec.priorityClassName, checkDnsSubdomain, `${at}.priorityClassName`),
  ...(spec.runtimeClassName === undefined
    ? []
    : mustBeNamed(spec.runtimeClassName, checkDnsSubdomain, `${at}.runtimeClassName`)),
  ...oneOf(spec.preemptionPolicy, ['Never', 'PreemptLowerPriority'], `${at}.preemptionPolicy`),
  ...(spec.os?.name === '' ? [required(`${at}.os.name`, 'cannot be empty')] : []),
  ...oneOf(spec.os?.name || undefined, ['linux', 'windows'], `${at}.os`),
  ...each(spec.readinessGates, `${at}.readinessGates`, ({ conditionType }, field) =>
    mustBeNamed(conditionType, checkQualifiedName, `${field}.conditionType`),
  ),
  ...validateGates(spec.schedulingGates, `${at}.schedulingGates`),
  ...each(spec.hostAliases, `${at}.hostAliases`, ({ hostnames }, field) =>
    (hostnames ?? []).flatMap((hostname) => mustBeNamed(hostname, checkDnsSubdomain, `${field}.hostnames`)),
  ),
];

function validateGates(gates: PodSpec['schedulingGates'], at: string): FieldError[] {
  const seen = new Set<string>();
  return each(gates, at, ({ name }, field) => {
    const again = seen.has(name) ? [duplicate(field, name)] : [];
    seen.add(name);
    return [...mustBeNamed(name, checkQualifiedName, field), ...again];
  });
}

/** A pod behind a gate is on no node yet. */
export const validateGatedPod = ({ spec }: Pod): FieldError[] =>
  spec.nodeName && spec.schedulingGates?.length
    ? [forbiddenField('spec.nodeName', 'cannot be set until all schedulingGates have been cleared')]
    : [];
