import { ageColumn, nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';

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
