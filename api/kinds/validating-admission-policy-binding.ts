import { ageColumn, nameColumn } from '../columns.ts';
import { required } from '../field-error.ts';
import { kind } from '../kind.ts';
import { formatParamRef, type PolicyBinding, validatePolicyBinding } from '../policy.ts';
import { each, oneOf } from '../rules.ts';
import { defaultMatchResources } from '../webhook.ts';

export interface ValidatingAdmissionPolicyBinding extends PolicyBinding {
  spec: PolicyBinding['spec'] & { validationActions?: ('Deny' | 'Warn' | 'Audit')[] };
}

export const ValidatingAdmissionPolicyBinding = kind<ValidatingAdmissionPolicyBinding>({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'ValidatingAdmissionPolicyBinding',
  plural: 'validatingadmissionpolicybindings',
  categories: ['api-extensions'],
  namespaced: false,
  unconditionalUpdate: false,
  defaults: ({ spec }) => {
    if (spec?.matchResources) defaultMatchResources(spec.matchResources);
  },
  validate: ({ spec }) => [
    ...validatePolicyBinding(spec),
    ...(spec?.validationActions?.length
      ? []
      : [required('spec.validationActions', 'at least one validation action is required')]),
    ...each(spec?.validationActions, 'spec.validationActions', (action, field) =>
      oneOf(action, ['Audit', 'Deny', 'Warn'], field),
    ),
  ],
  columns: [
    nameColumn,
    { name: 'PolicyName', value: ({ spec }) => spec.policyName ?? '' },
    { name: 'ParamRef', value: ({ spec }) => formatParamRef(spec.paramRef) },
    ageColumn,
  ],
});
