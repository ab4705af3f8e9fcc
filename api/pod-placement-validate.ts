import { bad, forbiddenField, required } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { Affinity, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, PodSpec } from './kinds/pod.ts';
import { checkDnsLabel, checkQualifiedName } from './names.ts';
import { each, mustBeNamed, mustBeOneOf, named, oneOf } from './rules.ts';
import { validateSelector } from './selector-validate.ts';

/** Rules on where a pod may run: affinities and spreading. */
export const validatePlacement = (spec: PodSpec, at: string): FieldError[] => [
  ...validateAffinity(spec.affinity ?? {}, `${at}.affinity`),
  ...validateSpread(spec, `${at}.topologySpreadConstraints`),
];

const weights = (weight: number, field: string): FieldError[] =>
  weight >= 1 && weight <= 100 ? [] : [bad(`${field}.weight`, weight, 'must be in the range 1-100')];

const hard = 'requiredDuringSchedulingIgnoredDuringExecution';
const soft = 'preferredDuringSchedulingIgnoredDuringExecution';

function validateAffinity({ nodeAffinity, podAffinity, podAntiAffinity }: Affinity, at: string): FieldError[] {
  const node = `${at}.nodeAffinity`;
  const needed = nodeAffinity?.[hard];
  return [
    ...(needed && !needed.nodeSelectorTerms?.length
      ? [required(`${node}.${hard}.nodeSelectorTerms`, 'must have at least one node selector term')]
      : []),
    ...each(needed?.nodeSelectorTerms, `${node}.${hard}.nodeSelectorTerms`, validateNodeTerm),
    ...each(nodeAffinity?.[soft], `${node}.${soft}`, ({ weight, preference }, field) => [
      ...weights(weight, field),
      ...validateNodeTerm(preference ?? {}, `${field}.preference`),
    ]),
    ...Object.entries({ podAffinity, podAntiAffinity }).flatMap(([name, affinity]) => [
      ...each(affinity?.[hard], `${at}.${name}.${hard}`, validatePodTerm),
      ...each(affinity?.[soft], `${at}.${name}.${soft}`, ({ weight, podAffinityTerm }, field) => [
        ...weights(weight, field),
        ...validatePodTerm(podAffinityTerm ?? { topologyKey: '' }, `${field}.podAffinityTerm`),
      ]),
    ]),
  ];
}

/** Rules on one term of a node selector, also that of a volume. */
export const validateNodeTerm = (term: NodeSelectorTerm, at: string): FieldError[] => [
  ...each(term.matchExpressions, `${at}.matchExpressions`, validateNodeRequirement),
  ...each(term.matchFields, `${at}.matchFields`, (requirement, field) => [
    ...(requirement.key === 'metadata.name'
      ? []
      : [bad(`${field}.key`, requirement.key, 'not a valid field selector key')]),
    ...(requirement.values?.length === 1
      ? []
      : [
          required(
            `${field}.values`,
            "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
          ),
        ]),
  ]),
];

function validateNodeRequirement({ key, operator, values = [] }: NodeSelectorRequirement, at: string): FieldError[] {
  const errors = mustBeNamed(key, checkQualifiedName, `${at}.key`);
  switch (operator) {
    case 'In':
    case 'NotIn':
      if (values.length === 0)
        errors.push(required(`${at}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
      break;
    case 'Exists':
    case 'DoesNotExist':
      if (values.length > 0)
        errors.push(
          forbiddenField(`${at}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
        );
      break;
    case 'Gt':
    case 'Lt':
      if (values.length !== 1)
        errors.push(required(`${at}.values`, "must be specified single value when `operator` is 'Lt' or 'Gt'"));
      break;
    default:
      errors.push(bad(`${at}.operator`, operator, 'not a valid selector operator'));
  }
  return errors;
}

const validatePodTerm = (term: PodAffinityTerm, at: string): FieldError[] => [
  ...mustBeNamed(term.topologyKey, checkQualifiedName, `${at}.topologyKey`, 'can not be empty'),
  ...validateSelector(term.labelSelector ?? {}, `${at}.labelSelector`),
  ...validateSelector(term.namespaceSelector ?? {}, `${at}.namespaceSelector`),
  ...each(term.namespaces, `${at}.namespaces`, (name) => named(name, checkDnsLabel, `${at}.namespace`)),
  ...validateLabelKeys(term, at),
];

/** What pods are narrowed down by besides the selector; of a pod that was made already it stands in the selector, too. */
function validateLabelKeys(
  { labelSelector, matchLabelKeys = [], mismatchLabelKeys = [] }: Partial<PodAffinityTerm>,
  at: string,
): FieldError[] {
  const inSelector = [
    ...Object.keys(labelSelector?.matchLabels ?? {}),
    ...(labelSelector?.matchExpressions ?? []).map(({ key }) => key),
  ];
  const names = (keys: readonly string[], field: string) =>
    keys.length > 0 && !labelSelector
      ? [forbiddenField(field, 'must not be specified when labelSelector is not set')]
      : each(keys, field, (key, one) => named(key, checkQualifiedName, one));
  return [
    ...names(matchLabelKeys, `${at}.matchLabelKeys`),
    ...names(mismatchLabelKeys, `${at}.mismatchLabelKeys`),
    ...each(matchLabelKeys, at, (key, field) =>
      inSelector.filter((one) => one === key).length > 1
        ? [bad(field, key, 'exists in both matchLabelKeys and labelSelector')]
        : [],
    ),
    ...each(matchLabelKeys, `${at}.matchLabelKeys`, (key, field) =>
      mismatchLabelKeys.includes(key) ? [bad(field, key, 'exists in both matchLabelKeys and mismatchLabelKeys')] : [],
    ),
  ];
}

const spreadPolicies = ['Honor', 'Ignore'];

function validateSpread({ topologySpreadConstraints: constraints = [] }: PodSpec, at: string): FieldError[] {
  const seen = new Set<string>();
  return each(constraints, at, (constraint, field) => {
    const { topologyKey, whenUnsatisfiable, maxSkew, minDomains } = constraint;
    const pair = `{${topologyKey}, ${whenUnsatisfiable}}`;
    const again: FieldError[] = seen.has(pair)
      ? [{ type: 'Duplicate', field: `${field}.{topologyKey, whenUnsatisfiable}`, value: pair, detail: '' }]
      : [];
    seen.add(pair);
    return [
      ...(maxSkew > 0 ? [] : [bad(`${field}.maxSkew`, maxSkew, 'must be greater than zero')]),
      ...mustBeNamed(topologyKey, checkQualifiedName, `${field}.topologyKey`, 'can not be empty'),
      ...mustBeOneOf(whenUnsatisfiable, ['DoNotSchedule', 'ScheduleAnyway'], `${field}.whenUnsatisfiable`),
      ...again,
      ...(minDomains !== undefined && minDomains <= 0
        ? [bad(`${field}.minDomains`, minDomains, 'must be greater than zero')]
        : []),
      ...(minDomains !== undefined && whenUnsatisfiable !== 'DoNotSchedule'
        ? [
            bad(
              `${field}.minDomains`,
              minDomains,
              'can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway',
            ),
          ]
        : []),
      ...oneOf(constraint.nodeAffinityPolicy, spreadPolicies, `${field}.nodeAffinityPolicy`),
      ...oneOf(constraint.nodeTaintsPolicy, spreadPolicies, `${field}.nodeTaintsPolicy`),
      ...validateSelector(constraint.labelSelector ?? {}, `${field}.labelSelector`),
      ...validateLabelKeys(constraint, field),
    ];
  });
}
