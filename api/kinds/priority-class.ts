import { ageColumn, nameColumn } from '../columns.ts';
import { bad, forbiddenField, immutable, notSupported } from '../field-error.ts';
import { kind, type FieldError } from '../kind.ts';
import type { KubeObject } from '../meta.ts';

export interface PriorityClass extends KubeObject {
  value: number;
  globalDefault?: boolean;
  description?: string;
  preemptionPolicy?: 'Never' | 'PreemptLowerPriority';
}

/** Above it are only the system's own. */
export const highestUserPriority = 1_000_000_000;

/** Classes that every cluster has, and that only it may make. */
export const systemPriorities: Readonly<Record<string, number>> = {
  'system-node-critical': 2_000_001_000,
  'system-cluster-critical': 2_000_000_000,
};

const policies = ['Never', 'PreemptLowerPriority'];

export const PriorityClass = kind<PriorityClass>({
  group: 'scheduling.k8s.io',
  version: 'v1',
  kind: 'PriorityClass',
  plural: 'priorityclasses',
  short: ['pc'],
  namespaced: false,
  defaults: (one) => {
    one.value ??= 0;
    one.preemptionPolicy ??= 'PreemptLowerPriority';
  },
  prepareCreate: (one) => {
    one.metadata.generation = 1;
  },
  validate: ({ metadata, value, globalDefault, preemptionPolicy = '' }) => {
    const errors: FieldError[] = [];
    const name = metadata.name ?? '';
    if (name.startsWith('system-') && (systemPriorities[name] !== value || globalDefault))
      errors.push(
        forbiddenField('metadata.name', "priority class names with 'system-' prefix are reserved for system use only"),
      );
    else if (!name.startsWith('system-') && value > highestUserPriority)
      errors.push(
        forbiddenField('value', `maximum allowed value of a user defined priority is ${highestUserPriority}`),
      );
    if (value < -2_147_483_648) errors.push(bad('value', value, 'must fit in 32 bits'));
    if (!policies.includes(preemptionPolicy)) errors.push(notSupported('preemptionPolicy', preemptionPolicy, policies));
    return errors;
  },
  validateUpdate: (one, old) => [
    ...(one.value === old.value ? [] : [forbiddenField('value', 'may not be changed in an update.')]),
    ...(one.preemptionPolicy === old.preemptionPolicy ? [] : [immutable('preemptionPolicy', one.preemptionPolicy)]),
  ],
  columns: [
    nameColumn,
    { name: 'Value', type: 'integer', value: (one) => one.value },
    { name: 'Global-Default', type: 'boolean', value: (one) => one.globalDefault ?? false },
    ageColumn,
    { name: 'PreemptionPolicy', value: (one) => one.preemptionPolicy ?? '' },
  ],
});
