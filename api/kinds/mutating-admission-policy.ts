import { ageColumn, nameColumn } from '../columns.ts';
import { forbiddenField, required } from '../field-error.ts';
import { type FieldError, kind } from '../kind.ts';
import {
  defaultPolicy,
  formatParamKind,
  type Policy,
  policyNames,
  validateExpression,
  validatePolicy,
} from '../policy.ts';
import { each, mustBeOneOf } from '../rules.ts';
import { admissionNames, type CelNames } from '../structural/check-cel.ts';
import { typesAsMaps } from '../structural/cel-objects.ts';

export interface Mutation {
  patchType: 'ApplyConfiguration' | 'JSONPatch';
  /** CEL that makes an object to be merged in as server-side apply does. */
  applyConfiguration?: { expression?: string };
  /** CEL that makes a list of JSONPatch. */
  jsonPatch?: { expression?: string };
}

export interface MutatingAdmissionPolicy extends Policy {
  spec: Policy['spec'] & { mutations?: Mutation[]; reinvocationPolicy?: 'Never' | 'IfNeeded' };
}

export const MutatingAdmissionPolicy = kind<MutatingAdmissionPolicy>({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'MutatingAdmissionPolicy',
  plural: 'mutatingadmissionpolicies',
  categories: ['api-extensions'],
  namespaced: false,
  unconditionalUpdate: false,
  defaults: ({ spec }) => defaultPolicy(spec),
  validate: ({ spec }) => [
    ...validatePolicy(spec),
    ...(spec?.mutations?.length ? [] : [required('spec.mutations', 'mutations must contain at least one item')]),
    ...validateMutations(spec),
    ...mustBeOneOf(spec?.reinvocationPolicy, ['IfNeeded', 'Never'], 'spec.reinvocationPolicy'),
  ],
  columns: [
    nameColumn,
    { name: 'Mutations', type: 'integer', value: ({ spec }) => spec.mutations?.length ?? 0 },
    { name: 'ParamKind', value: ({ spec }) => formatParamKind(spec.paramKind) },
    ageColumn,
  ],
});

function validateMutations(spec: MutatingAdmissionPolicy['spec'] | undefined): FieldError[] {
  const names = admissionNames(policyNames(spec));
  return each(spec?.mutations, 'spec.mutations', (mutation, field) => validateMutation(mutation, field, names));
}

const places = { ApplyConfiguration: 'applyConfiguration', JSONPatch: 'jsonPatch' } as const;

function validateMutation(mutation: Mutation, field: string, names: CelNames): FieldError[] {
  const { patchType } = mutation;
  const unknown = mustBeOneOf(patchType, ['ApplyConfiguration', 'JSONPatch'], `${field}.patchType`);
  if (unknown.length > 0) return unknown;
  const own = places[patchType];
  const other = own === 'jsonPatch' ? 'applyConfiguration' : 'jsonPatch';
  const expression = mutation[own]?.expression;
  return [
    ...(mutation[other]
      ? [forbiddenField(`${field}.${other}`, `must not be specified when patchType is ${patchType}`)]
      : []),
    ...validateExpression(
      expression && typesAsMaps(expression),
      `${field}.${own}.expression`,
      names,
      own === 'jsonPatch' ? ['list'] : ['map'],
      `must evaluate to ${own === 'jsonPatch' ? 'list(JSONPatch)' : 'Object'}`,
    ),
  ];
}
