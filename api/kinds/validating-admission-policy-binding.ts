import { ageColumn, nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import type { KubeObject, LabelSelector } from '../meta.ts';
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
  columns: [
    nameColumn,
    { name: 'PolicyName', value: ({ spec }) => spec.policyName ?? '' },
    { name: 'ParamRef', value: ({ spec }) => formatParamRef(spec.paramRef) },
    ageColumn,
  ],
});
