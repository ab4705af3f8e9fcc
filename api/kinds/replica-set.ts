import { equal } from '../../lib/equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { immutable } from '../field-error.ts';
import { kind } from '../kind.ts';
import type { Condition, KubeObject, LabelSelector } from '../meta.ts';
import { defaultPodTemplate, type PodTemplate } from '../pod-spec-defaults.ts';
import { validateWorkload, wideColumns } from '../workload.ts';

export interface ReplicaSet extends KubeObject {
  spec: { replicas?: number; minReadySeconds?: number; selector: LabelSelector; template: PodTemplate };
  status?: {
    replicas: number;
    fullyLabeledReplicas?: number;
    readyReplicas?: number;
    availableReplicas?: number;
    terminatingReplicas?: number;
    observedGeneration?: number;
    conditions?: Condition[];
  };
}

export const ReplicaSet = kind<ReplicaSet>({
  group: 'apps',
  version: 'v1',
  kind: 'ReplicaSet',
  plural: 'replicasets',
  short: ['rs'],
  categories: ['all'],
  namespaced: true,
  subresources: ['status', 'scale'],
  defaults: ({ spec }) => {
    if (!spec) return;
    spec.replicas ??= 1;
    defaultPodTemplate(spec.template);
  },
  prepareCreate: (set) => {
    set.status = { replicas: 0 };
  },
  validate: (set) => validateWorkload(set),
  validateUpdate: (set, old) =>
    equal(set.spec.selector, old.spec.selector) ? [] : [immutable('spec.selector', set.spec.selector)],
  columns: [
    nameColumn,
    { name: 'Desired', type: 'integer', value: (set) => set.spec.replicas ?? 0 },
    { name: 'Current', type: 'integer', value: (set) => set.status?.replicas ?? 0 },
    { name: 'Ready', type: 'integer', value: (set) => set.status?.readyReplicas ?? 0 },
    ageColumn,
    ...wideColumns,
  ],
  selectableFields: { 'status.replicas': (set) => String(set.status?.replicas ?? 0) },
});
