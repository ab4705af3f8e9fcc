import { ageColumn, nameColumn } from '../columns.ts';
import { forbiddenField, immutable, required } from '../field-error.ts';
import { type FieldError, kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { oneOf } from '../rules.ts';

export interface IngressClass extends KubeObject {
  spec?: {
    controller?: string;
    parameters?: { apiGroup?: string; kind: string; name: string; namespace?: string; scope?: 'Cluster' | 'Namespace' };
  };
}

export const IngressClass = kind<IngressClass>({
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'IngressClass',
  plural: 'ingressclasses',
  namespaced: false,
  defaults: ({ spec }) => {
    if (spec?.parameters) spec.parameters.scope ??= 'Cluster';
  },
  validate: ({ spec }) => validateParameters(spec?.parameters),
  validateUpdate: ({ spec }, old) =>
    spec?.controller === old.spec?.controller ? [] : [immutable('spec.controller', spec?.controller)],
  columns: [
    nameColumn,
    { name: 'Controller', value: ({ spec }) => spec?.controller ?? '' },
    {
      name: 'Parameters',
      value: ({ spec }) => {
        const of = spec?.parameters;
        return of ? `${of.kind}${of.apiGroup === undefined ? '' : `.${of.apiGroup}`}/${of.name}` : '<none>';
      },
    },
    ageColumn,
  ],
});

function validateParameters(of: NonNullable<IngressClass['spec']>['parameters']): FieldError[] {
  if (!of) return [];
  const at = 'spec.parameters';
  const errors = oneOf(of.scope, ['Cluster', 'Namespace'], `${at}.scope`);
  if (!of.kind) errors.push(required(`${at}.kind`, 'kind is required'));
  if (!of.name) errors.push(required(`${at}.name`, 'name is required'));
  if (of.scope === 'Namespace' && !of.namespace)
    errors.push(required(`${at}.namespace`, "`parameters.scope` is set to 'Namespace'"));
  if (of.scope === 'Cluster' && of.namespace !== undefined)
    errors.push(forbiddenField(`${at}.namespace`, "`parameters.scope` is set to 'Cluster'"));
  return errors;
}
