import { equal } from '../../lib/equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { bad, immutable, notSupported } from '../field-error.ts';
import { kind, type FieldError } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { checkQualifiedName } from '../names.ts';
import { compareQuantities } from '../quantity.ts';

export interface ScopeRequirement {
  scopeName: string;
  operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  values?: string[];
}

export interface ResourceQuota extends KubeObject {
  spec?: {
    hard?: Record<string, string>;
    scopes?: string[];
    scopeSelector?: { matchExpressions?: ScopeRequirement[] };
  };
  status?: { hard?: Record<string, string>; used?: Record<string, string> };
}

export const quotaScopes = [
  'BestEffort',
  'CrossNamespacePodAffinity',
  'NotBestEffort',
  'NotTerminating',
  'PriorityClass',
  'Terminating',
  'VolumeAttributesClass',
];

export const ResourceQuota = kind<ResourceQuota>({
  group: '',
  version: 'v1',
  kind: 'ResourceQuota',
  plural: 'resourcequotas',
  short: ['quota'],
  namespaced: true,
  subresources: ['status'],
  generation: false,
  validate: ({ spec }) => [
    ...validateHard(spec?.hard ?? {}),
    ...(spec?.scopes ?? []).flatMap((scope, i) =>
      quotaScopes.includes(scope) ? [] : [notSupported(`spec.scopes[${i}]`, scope, quotaScopes)],
    ),
    ...conflicting(spec?.scopes ?? []),
    ...(spec?.scopeSelector?.matchExpressions ?? []).flatMap(validateRequirement),
  ],
  validateUpdate: ({ spec }, old) => [
    ...(equal(spec?.scopes ?? [], old.spec?.scopes ?? []) ? [] : [immutable('spec.scopes', spec?.scopes ?? [])]),
    ...(equal(spec?.scopeSelector ?? {}, old.spec?.scopeSelector ?? {})
      ? []
      : [immutable('spec.scopeSelector', spec?.scopeSelector ?? {})]),
  ],
  columns: [
    nameColumn,
    { name: 'Request', value: (quota) => shown(quota, (name) => !name.startsWith('limits.')) },
    { name: 'Limit', value: (quota) => shown(quota, (name) => name.startsWith('limits.')) },
    ageColumn,
  ],
});

const shown = ({ status }: ResourceQuota, wanted: (name: string) => boolean): string =>
  Object.entries(status?.hard ?? {})
    .filter(([name]) => wanted(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, hard]) => `${name}: ${status?.used?.[name] ?? '0'}/${hard}`)
    .join(', ');

function validateHard(hard: Record<string, string>): FieldError[] {
  return Object.entries(hard).flatMap(([name, amount]) => [
    ...checkQualifiedName(name).map((detail) => bad(`spec.hard[${name}]`, name, detail)),
    ...(compareQuantities(amount, '0') < 0
      ? [bad(`spec.hard[${name}]`, amount, 'must be greater than or equal to 0')]
      : []),
  ]);
}

function conflicting(scopes: readonly string[]): FieldError[] {
  const pairs = [
    ['BestEffort', 'NotBestEffort'],
    ['Terminating', 'NotTerminating'],
  ];
  return pairs
    .filter((pair) => pair.every((scope) => scopes.includes(scope)))
    .map(() => bad('spec.scopes', scopes, 'conflicting scopes'));
}

function validateRequirement({ scopeName, operator, values = [] }: ScopeRequirement): FieldError[] {
  const field = 'spec.scopeSelector.matchExpressions';
  const errors: FieldError[] = quotaScopes.includes(scopeName)
    ? []
    : [notSupported(`${field}.scopeName`, scopeName, quotaScopes)];
  const onlyExists = !['PriorityClass', 'VolumeAttributesClass'].includes(scopeName);
  if (onlyExists && operator !== 'Exists')
    errors.push(
      bad(
        `${field}.operator`,
        operator,
        "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity",
      ),
    );
  if (['In', 'NotIn'].includes(operator) && values.length === 0)
    errors.push({
      type: 'Required',
      field: `${field}.values`,
      detail: "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
    });
  if (['Exists', 'DoesNotExist'].includes(operator) && values.length > 0)
    errors.push(
      bad(
        `${field}.values`,
        values,
        "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
      ),
    );
  return errors;
}
