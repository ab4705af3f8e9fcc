import { bad, required } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { KubeObject, LabelSelector } from './meta.ts';
import { checkDnsSubdomain } from './names.ts';
import { each, mustBeNamed, oneOf } from './rules.ts';
import { admissionNames, checkCel, type AdmissionNames, type CelNames } from './structural/check-cel.ts';
import { validateConditions, validateRule } from './validate-webhook.ts';
import { defaultMatchResources, type MatchCondition, type MatchResources } from './webhook.ts';

/** What validating and mutating admission policies have in common. */
export interface PolicySpec {
  paramKind?: ParamKind;
  matchConstraints?: MatchResources;
  failurePolicy?: 'Fail' | 'Ignore';
  matchConditions?: MatchCondition[];
  variables?: { name: string; expression: string }[];
}

export interface Policy extends KubeObject {
  spec: PolicySpec;
}

export interface ParamKind {
  apiVersion?: string;
  kind?: string;
}

export interface PolicyBindingSpec {
  policyName?: string;
  paramRef?: ParamRef;
  matchResources?: MatchResources;
}

export interface PolicyBinding extends KubeObject {
  spec: PolicyBindingSpec;
}

export interface ParamRef {
  name?: string;
  namespace?: string;
  selector?: LabelSelector;
  parameterNotFoundAction?: 'Allow' | 'Deny';
}

/** `apps/v1/Deployment`, or `<unset>`. */
export const formatParamKind = (param: ParamKind | undefined): string =>
  param ? `${param.apiVersion}/${param.kind}` : '<unset>';

/** `namespace/name`, `*` where it is not told, or `<unset>`. */
export const formatParamRef = (param: ParamRef | undefined): string => {
  if (!param) return '<unset>';
  if (param.namespace) return `${param.namespace}/${param.name || '*'}`;
  return param.name || '*';
};

export function defaultPolicy(spec: PolicySpec | undefined): void {
  if (!spec) return;
  spec.failurePolicy ??= 'Fail';
  if (spec.matchConstraints) defaultMatchResources(spec.matchConstraints);
}

/** What the expressions of a policy see; of its variables those before the one that is told. */
export const policyNames = (spec: PolicySpec | undefined, before?: number): AdmissionNames => ({
  hasParams: spec?.paramKind !== undefined,
  variables: Object.fromEntries((spec?.variables ?? []).slice(0, before).map(({ name }) => [name, 'dyn'])),
});

export function validatePolicy(spec: PolicySpec | undefined): FieldError[] {
  const match = spec?.matchConstraints;
  const hasParams = spec?.paramKind !== undefined;
  return [
    ...(match?.resourceRules?.length
      ? []
      : [required(match ? 'spec.matchConstraints.resourceRules' : 'spec.matchConstraints')]),
    ...each(match?.resourceRules, 'spec.matchConstraints.resourceRules', validateRule),
    ...each(match?.excludeResourceRules, 'spec.matchConstraints.excludeResourceRules', validateRule),
    ...oneOf(spec?.failurePolicy, ['Fail', 'Ignore'], 'spec.failurePolicy'),
    ...validateConditions(spec?.matchConditions, 'spec.matchConditions', { hasParams }),
    ...each(spec?.variables, 'spec.variables', ({ name, expression }, field, i) => [
      ...checkVariableName(name, `${field}.name`),
      ...validateExpression(expression, `${field}.expression`, admissionNames(policyNames(spec, i))),
    ]),
    ...(spec?.paramKind && !spec.paramKind.kind ? [required('spec.paramKind.kind')] : []),
    ...(spec?.paramKind && !spec.paramKind.apiVersion ? [required('spec.paramKind.apiVersion')] : []),
  ];
}

function checkVariableName(name: string | undefined, field: string): FieldError[] {
  if (!name) return [required(field, 'name is not specified')];
  return /^[A-Za-z_]\w*$/.test(name) ? [] : [bad(field, name, 'name is not a valid CEL identifier')];
}

export const validateExpression = (
  expression: string | undefined,
  field: string,
  names: CelNames,
  makes: readonly string[] = [],
  words?: string,
): FieldError[] =>
  expression?.trim()
    ? checkCel(expression, field, names, makes, words)
    : [required(field, 'expression is not specified')];

export const validatePolicyBinding = (spec: PolicyBindingSpec | undefined): FieldError[] => [
  ...mustBeNamed(spec?.policyName, checkDnsSubdomain, 'spec.policyName'),
  ...(spec?.paramRef && !spec.paramRef.parameterNotFoundAction
    ? [required('spec.paramRef.parameterNotFoundAction')]
    : []),
  ...each(spec?.matchResources?.resourceRules, 'spec.matchResources.resourceRules', validateRule),
];
