import { ageColumn, nameColumn } from '../columns.ts';
import { required } from '../field-error.ts';
import { kind } from '../kind.ts';
import type { KubeObject, LabelSelector } from '../meta.ts';
import { checkDnsSubdomain } from '../names.ts';
import { each, mustBeNamed, oneOf } from '../rules.ts';
import { validateRule } from '../validate-webhook.ts';
import { defaultMatchResources, type MatchResources } from '../webhook.ts';

export interface ValidatingAdmissionPolicyBinding extends KubeObject {
  spec: {
    policyName?: string;
    paramRef?: ParamRef;
    matchResources?: MatchResources;
    validationActions?: ('Deny' | 'Warn' | 'Audit')[];
  };
}

export interface ParamRef {
  name?: string;
  namespace?: string;
  selector?: LabelSelector;
  parameterNotFoundAction?: 'Allow' | 'Deny';
}

/** `namespace/name`, `*` where it is not told, or `<unset>`. */
export const formatParamRef = (param: ParamRef | undefined): string => {
  if (!param) return '<unset>';
  if (param.namespace) return `${param.namespace}/${param.name || '*'}`;
  return param.name || '*';
};

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
    ...mustBeNamed(spec?.policyName, checkDnsSubdomain, 'spec.policyName'),
    ...(spec?.validationActions?.length
      ? []
      : [required('spec.validationActions', 'at least one validation action is required')]),
    ...each(spec?.validationActions, 'spec.validationActions', (action, field) =>
      oneOf(action, ['Audit', 'Deny', 'Warn'], field),
    ),
    ...(spec?.paramRef && !spec.paramRef.parameterNotFoundAction
      ? [required('spec.paramRef.parameterNotFoundAction')]
      : []),
    ...each(spec?.matchResources?.resourceRules, 'spec.matchResources.resourceRules', validateRule),
  ],
  columns: [
    nameColumn,
    { name: 'PolicyName', value: ({ spec }) => spec.policyName ?? '' },
    { name: 'ParamRef', value: ({ spec }) => formatParamRef(spec.paramRef) },
    ageColumn,
  ],
});
