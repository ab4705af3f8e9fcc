import { createdColumn, nameColumn } from '../columns.ts';
import { bad, duplicate, forbiddenField, required } from '../field-error.ts';
import { kind, type FieldError } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { compareQuantities } from '../quantity.ts';

type Texts = Record<string, string>;

export interface LimitRangeItem {
  type: string;
  max?: Texts;
  min?: Texts;
  default?: Texts;
  defaultRequest?: Texts;
  maxLimitRequestRatio?: Texts;
}

export interface LimitRange extends KubeObject {
  spec: { limits: LimitRangeItem[] };
}

export const LimitRange = kind<LimitRange>({
  group: '',
  version: 'v1',
  kind: 'LimitRange',
  plural: 'limitranges',
  short: ['limits'],
  namespaced: true,
  generation: false,
  defaults: ({ spec }) => spec?.limits?.forEach(fillIn),
  validate: ({ spec }) => {
    const seen = new Set<string>();
    return (spec?.limits ?? []).flatMap((limit, i) => {
      const field = `spec.limits[${i}]`;
      const errors = seen.has(limit.type) ? [duplicate(`${field}.type`, limit.type)] : [];
      seen.add(limit.type);
      return [...errors, ...validateItem(limit, field)];
    });
  },
  columns: [nameColumn, createdColumn],
});

/** A container's default limit is the most there may be, its default request that limit, or the least there may be. */
function fillIn(limit: LimitRangeItem): void {
  if (limit.type !== 'Container') return;
  limit.default = { ...limit.max, ...limit.default };
  limit.defaultRequest = { ...limit.min, ...limit.default, ...limit.defaultRequest };
  for (const field of ['default', 'defaultRequest'] as const)
    if (Object.keys(limit[field]!).length === 0) delete limit[field];
}

function validateItem(limit: LimitRangeItem, field: string): FieldError[] {
  const errors: FieldError[] = [];
  if (!limit.type) return [required(`${field}.type`)];
  if (limit.type === 'Pod')
    for (const name of ['default', 'defaultRequest'] as const)
      if (Object.keys(limit[name] ?? {}).length > 0)
        errors.push(forbiddenField(`${field}.${name}`, 'may not be specified when `type` is Pod'));
  if (limit.type === 'PersistentVolumeClaim' && !limit.min?.storage && !limit.max?.storage)
    errors.push(
      required(`${field}.limits`, 'either minimum or maximum storage value is required, but neither was provided'),
    );
  errors.push(...ordered(limit, field));
  for (const [resource, ratio] of Object.entries(limit.maxLimitRequestRatio ?? {}))
    if (compareQuantities(ratio, '1') < 0)
      errors.push(bad(`${field}.maxLimitRequestRatio[${resource}]`, ratio, `ratio ${ratio} is less than 1`));
  return errors;
}

/** min ≤ defaultRequest ≤ default ≤ max, for every resource. */
function ordered(limit: LimitRangeItem, field: string): FieldError[] {
  const steps = [
    ['min', 'max', 'min value', 'max value'],
    ['min', 'defaultRequest', 'min value', 'default request value'],
    ['defaultRequest', 'max', 'default request value', 'max value'],
    ['defaultRequest', 'default', 'default request value', 'default limit value'],
    ['min', 'default', 'min value', 'default value'],
    ['default', 'max', 'default value', 'max value'],
  ] as const;
  return steps.flatMap(([low, high, lowWord, highWord]) =>
    Object.entries(limit[low] ?? {}).flatMap(([resource, least]) => {
      const most = limit[high]?.[resource];
      if (most === undefined || compareQuantities(least, most) <= 0) return [];
      const shown = low === 'defaultRequest' || high !== 'default' ? [low, least] : [high, most];
      return [
        bad(`${field}.${shown[0]}[${resource}]`, shown[1], `${lowWord} ${least} is greater than ${highWord} ${most}`),
      ];
    }),
  );
}
