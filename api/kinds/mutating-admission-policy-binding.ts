import { ageColumn, nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import { formatParamRef, type PolicyBinding, validatePolicyBinding } from '../policy.ts';
import { defaultMatchResources } from '../webhook.ts';

export type MutatingAdmissionPolicyBinding = PolicyBinding;

export const MutatingAdmissionPolicyBinding = kind<MutatingAdmissionPolicyBinding>({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'MutatingAdmissionPolicyBinding',
  plural: 'mutatingadmissionpolicybindings',
  categories: ['api-extensions'],
  namespaced: false,
  unconditionalUpdate: false,
  defaults: ({ spec }) => {
    if (spec?.matchResources) defaultMatchResources(spec.matchResources);
  },
  validate: ({ spec }) => validatePolicyBinding(spec),
  columns: [
    nameColumn,
    { name: 'PolicyName', value: ({ spec }) => spec.policyName ?? '' },
    { name: 'ParamRef', value: ({ spec }) => formatParamRef(spec.paramRef) },
    ageColumn,
  ],
});
