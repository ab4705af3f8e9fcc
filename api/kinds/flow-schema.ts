import { ageColumn, nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import type { Condition, KubeObject } from '../meta.ts';

export interface FlowSchema extends KubeObject {
  spec?: {
    priorityLevelConfiguration: { name: string };
    matchingPrecedence?: number;
    distinguisherMethod?: { type: 'ByUser' | 'ByNamespace' };
    rules?: FlowRule[];
  };
  status?: { conditions?: Condition[] };
}

export interface FlowRule {
  subjects: {
    kind: 'User' | 'Group' | 'ServiceAccount';
    user?: { name: string };
    group?: { name: string };
    serviceAccount?: { namespace: string; name: string };
  }[];
  resourceRules?: {
    verbs: string[];
    apiGroups: string[];
    resources: string[];
    clusterScope?: boolean;
    namespaces?: string[];
  }[];
  nonResourceRules?: { verbs: string[]; nonResourceURLs: string[] }[];
}

export const FlowSchema = kind<FlowSchema>({
  group: 'flowcontrol.apiserver.k8s.io',
  version: 'v1',
  kind: 'FlowSchema',
  plural: 'flowschemas',
  namespaced: false,
  subresources: ['status'],
  unconditionalUpdate: false,
  defaults: ({ spec }) => {
    if (spec) spec.matchingPrecedence ||= 1000;
  },
  prepareCreate: (schema) => {
    schema.status = {};
  },
  columns: [
    nameColumn,
    { name: 'PriorityLevel', value: ({ spec }) => spec?.priorityLevelConfiguration.name ?? '' },
    { name: 'MatchingPrecedence', value: ({ spec }) => String(spec?.matchingPrecedence ?? 0) },
    { name: 'DistinguisherMethod', value: ({ spec }) => spec?.distinguisherMethod?.type ?? '<none>' },
    ageColumn,
    {
      name: 'MissingPL',
      value: ({ status }) => status?.conditions?.find(({ type }) => type === 'Dangling')?.status ?? '?',
    },
  ],
});
