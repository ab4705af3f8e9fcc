import { ageColumn, nameColumn } from '../columns.ts';
import { bad, required } from '../field-error.ts';
import { type FieldError, kind } from '../kind.ts';
import type { Condition, KubeObject } from '../meta.ts';
import { atLeast, each, mustBeOneOf, oneOf } from '../rules.ts';

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
  validate: validateSchema,
  columns: [
    nameColumn,
    { name: 'PriorityLevel', value: ({ spec }) => spec?.priorityLevelConfiguration.name ?? '' },
    { name: 'MatchingPrecedence', value: ({ spec }) => spec?.matchingPrecedence ?? 0 },
    { name: 'DistinguisherMethod', value: ({ spec }) => spec?.distinguisherMethod?.type ?? '<none>' },
    ageColumn,
    {
      name: 'MissingPL',
      value: ({ status }) => status?.conditions?.find(({ type }) => type === 'Dangling')?.status ?? '?',
    },
  ],
});

function validateSchema({ spec }: FlowSchema): FieldError[] {
  const precedence = spec?.matchingPrecedence;
  return [
    ...atLeast(precedence, 1, 'spec.matchingPrecedence'),
    ...(precedence !== undefined && precedence > 10_000
      ? [bad('spec.matchingPrecedence', precedence, 'must not be greater than 10000')]
      : []),
    ...(spec?.priorityLevelConfiguration?.name ? [] : [required('spec.priorityLevelConfiguration.name')]),
    ...oneOf(spec?.distinguisherMethod?.type, ['ByNamespace', 'ByUser'], 'spec.distinguisherMethod.type'),
    ...each(spec?.rules, 'spec.rules', (rule, field) => [
      ...(rule.subjects?.length ? [] : [required(`${field}.subjects`, 'subjects must contain at least one value')]),
      ...each(rule.subjects, `${field}.subjects`, (subject, at) =>
        mustBeOneOf(subject.kind, ['Group', 'ServiceAccount', 'User'], `${at}.kind`),
      ),
      ...(rule.resourceRules?.length || rule.nonResourceRules?.length
        ? []
        : [required(field, 'at least one of resourceRules and nonResourceRules has to be non-empty')]),
    ]),
  ];
}
