import { ageColumn, formatLabels, nameColumn } from '../columns.ts';
import { bad, notSupported, required } from '../field-error.ts';
import { kind, type FieldError } from '../kind.ts';
import type { Condition, KubeObject } from '../meta.ts';
import { defaultPodTemplate, type PodTemplate } from '../pod-spec-defaults.ts';
import { validatePodSpec } from '../pod-spec-validate.ts';
import { notNegative } from '../rules.ts';
import { validateLabels, validateTemplateMeta } from '../validate-meta.ts';
import { containerColumns } from '../workload.ts';

export interface ReplicationController extends KubeObject {
  spec: { replicas?: number; minReadySeconds?: number; selector?: Record<string, string>; template?: PodTemplate };
  status?: {
    replicas: number;
    fullyLabeledReplicas?: number;
    readyReplicas?: number;
    availableReplicas?: number;
    observedGeneration?: number;
    conditions?: Condition[];
  };
}

export const ReplicationController = kind<ReplicationController>({
  group: '',
  version: 'v1',
  kind: 'ReplicationController',
  plural: 'replicationcontrollers',
  short: ['rc'],
  categories: ['all'],
  namespaced: true,
  orphansDependents: true,
  subresources: ['status', 'scale'],
  defaults: ({ metadata, spec }) => {
    if (!spec) return;
    const labels = spec.template?.metadata?.labels;
    if (labels && !Object.keys(spec.selector ?? {}).length) spec.selector = { ...labels };
    if (labels && !Object.keys(metadata.labels ?? {}).length) metadata.labels = { ...labels };
    spec.replicas ??= 1;
    defaultPodTemplate(spec.template);
  },
  prepareCreate: (controller) => {
    controller.status = { replicas: 0 };
  },
  validate: validateController,
  columns: [
    nameColumn,
    { name: 'Desired', type: 'integer', value: ({ spec }) => spec.replicas ?? 0 },
    { name: 'Current', type: 'integer', value: ({ status }) => status?.replicas ?? 0 },
    { name: 'Ready', type: 'integer', value: ({ status }) => status?.readyReplicas ?? 0 },
    ageColumn,
    ...containerColumns<ReplicationController>(({ spec }) => spec.template),
    { name: 'Selector', priority: 1, value: ({ spec }) => formatLabels(spec.selector) },
  ],
  selectableFields: { 'status.replicas': ({ status }) => String(status?.replicas ?? 0) },
});

function validateController({ spec }: ReplicationController): FieldError[] {
  const selector = spec?.selector ?? {};
  const labels = spec?.template?.metadata?.labels ?? {};
  const template = spec?.template?.spec;
  const at = 'spec.template';
  return [
    ...notNegative(spec?.replicas, 'spec.replicas'),
    ...notNegative(spec?.minReadySeconds, 'spec.minReadySeconds'),
    ...(Object.keys(selector).length > 0 ? validateLabels(selector, 'spec.selector') : [required('spec.selector')]),
    ...(Object.entries(selector).every(([key, value]) => labels[key] === value)
      ? []
      : [bad(`${at}.metadata.labels`, labels, '`selector` does not match template `labels`')]),
    ...validateTemplateMeta(spec?.template ?? {}, at),
    ...(template ? validatePodSpec(template, `${at}.spec`) : [required(at)]),
    ...(template && template.restartPolicy !== 'Always'
      ? [notSupported(`${at}.spec.restartPolicy`, template.restartPolicy, ['Always'])]
      : []),
  ];
}
