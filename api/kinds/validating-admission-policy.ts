import { ageColumn, nameColumn } from '../columns.ts';
import { required } from '../field-error.ts';
import { type FieldError, kind } from '../kind.ts';
import type { Condition, KubeObject } from '../meta.ts';
import { each, oneOf } from '../rules.ts';
import { validateConditions, validateRule } from '../validate-webhook.ts';
import { defaultMatchResources, type MatchCondition, type MatchResources } from '../webhook.ts';

export interface ValidatingAdmissionPolicy extends KubeObject {
  spec: {
    paramKind?: ParamKind;
    matchConstraints?: MatchResources;
    validations?: { expression: string; message?: string; reason?: string; messageExpression?: string }[];
    failurePolicy?: 'Fail' | 'Ignore';
    auditAnnotations?: { key: string; valueExpression: string }[];
    matchConditions?: MatchCondition[];
    variables?: { name: string; expression: string }[];
  };
  status?: {
    observedGeneration?: number;
    typeChecking?: { expressionWarnings?: { fieldRef: string; warning: string }[] };
    conditions?: Condition[];
  };
}

export interface ParamKind {
  apiVersion?: string;
  kind?: string;
}

/** `apps/v1/Deployment`, or `<unset>`. */
export const formatParamKind = (param: ParamKind | undefined): string =>
  param ? `${param.apiVersion}/${param.kind}` : '<unset>';

export const ValidatingAdmissionPolicy = kind<ValidatingAdmissionPolicy>({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'ValidatingAdmissionPolicy',
  plural: 'validatingadmissionpolicies',
  categories: ['api-extensions'],
  namespaced: false,
  subresources: ['status'],
  unconditionalUpdate: false,
  defaults: ({ spec }) => {
    if (!spec) return;
    spec.failurePolicy ??= 'Fail';
    if (spec.matchConstraints) defaultMatchResources(spec.matchConstraints);
  },
  prepareCreate: (policy) => {
    policy.status = {};
  },
  validate: validatePolicy,
  columns: [
    nameColumn,
    { name: 'Validations', type: 'integer', value: ({ spec }) => spec.validations?.length ?? 0 },
    { name: 'ParamKind', value: ({ spec }) => formatParamKind(spec.paramKind) },
    ageColumn,
  ],
});

function validatePolicy({ spec }: ValidatingAdmissionPolicy): FieldError[] {
  const match = spec?.matchConstraints;
  const errors: FieldError[] = [];
  if (!match?.resourceRules?.length)
    errors.push(required(match ? 'spec.matchConstraints.resourceRules' : 'spec.matchConstraints'));
  if (!spec?.validations?.length && !spec?.auditAnnotations?.length)
    errors.push(required('spec.validations', 'validations or auditAnnotations must be non-empty'));
  return [
    ...errors,
    ...each(match?.resourceRules, 'spec.matchConstraints.resourceRules', validateRule),
    ...each(match?.excludeResourceRules, 'spec.matchConstraints.excludeResourceRules', validateRule),
    ...each(spec?.validations, 'spec.validations', ({ expression }, field) =>
      expression?.trim() ? [] : [required(`${field}.expression`, 'expression is not specified')],
    ),
    ...oneOf(spec?.failurePolicy, ['Fail', 'Ignore'], 'spec.failurePolicy'),
    ...validateConditions(spec?.matchConditions, 'spec.matchConditions'),
    ...(spec?.paramKind && !spec.paramKind.kind ? [required('spec.paramKind.kind')] : []),
    ...(spec?.paramKind && !spec.paramKind.apiVersion ? [required('spec.paramKind.apiVersion')] : []),
  ];
}
