import { ageColumn, nameColumn } from '../columns.ts';
import { required } from '../field-error.ts';
import { type FieldError, kind } from '../kind.ts';
import type { Condition } from '../meta.ts';
import {
  defaultPolicy,
  formatParamKind,
  type Policy,
  policyNames,
  validateExpression,
  validatePolicy,
} from '../policy.ts';
import { each } from '../rules.ts';
import { admissionNames } from '../structural/check-cel.ts';

export interface ValidatingAdmissionPolicy extends Policy {
  spec: Policy['spec'] & {
    validations?: { expression: string; message?: string; reason?: string; messageExpression?: string }[];
    auditAnnotations?: { key: string; valueExpression: string }[];
  };
  status?: {
    observedGeneration?: number;
    typeChecking?: { expressionWarnings?: ExpressionWarning[] };
    conditions?: Condition[];
  };
}

/** What the types of the objects say against an expression. */
export interface ExpressionWarning {
  fieldRef: string;
  warning: string;
}

export const ValidatingAdmissionPolicy = kind<ValidatingAdmissionPolicy>({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'ValidatingAdmissionPolicy',
  plural: 'validatingadmissionpolicies',
  categories: ['api-extensions'],
  namespaced: false,
  subresources: ['status'],
  unconditionalUpdate: false,
  defaults: ({ spec }) => defaultPolicy(spec),
  prepareCreate: (policy) => {
    policy.status = {};
  },
  validate: ({ spec }) => [...validatePolicy(spec), ...validateValidations(spec)],
  columns: [
    nameColumn,
    { name: 'Validations', type: 'integer', value: ({ spec }) => spec.validations?.length ?? 0 },
    { name: 'ParamKind', value: ({ spec }) => formatParamKind(spec.paramKind) },
    ageColumn,
  ],
});

function validateValidations(spec: ValidatingAdmissionPolicy['spec'] | undefined): FieldError[] {
  if (!spec?.validations?.length && !spec?.auditAnnotations?.length)
    return [required('spec.validations', 'validations or auditAnnotations must be non-empty')];
  const names = admissionNames(policyNames(spec));
  return [
    ...each(spec.validations, 'spec.validations', ({ expression, messageExpression }, field) => [
      ...validateExpression(expression, `${field}.expression`, names, ['bool']),
      ...(messageExpression
        ? validateExpression(messageExpression, `${field}.messageExpression`, names, ['string'])
        : []),
    ]),
    ...each(spec.auditAnnotations, 'spec.auditAnnotations', ({ valueExpression }, field) =>
      validateExpression(
        valueExpression,
        `${field}.valueExpression`,
        names,
        ['string', 'null'],
        'must evaluate to one of the types: [string null_type]',
      ),
    ),
  ];
}
