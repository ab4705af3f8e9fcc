import { equal } from '../../lib/equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { bad, forbiddenField, immutable, notSupported } from '../field-error.ts';
import { kind, type FieldError } from '../kind.ts';
import type { Condition, KubeObject, LabelSelector } from '../meta.ts';
import { defaultPodTemplate, type PodTemplate } from '../pod-spec-defaults.ts';
import { atMost100Percent } from '../rules.ts';
import { validateWorkload, wideColumns } from '../workload.ts';

export interface Deployment extends KubeObject {
  spec: {
    replicas?: number;
    selector: LabelSelector;
    template: PodTemplate;
    strategy?: DeploymentStrategy;
    minReadySeconds?: number;
    revisionHistoryLimit?: number;
    paused?: boolean;
    progressDeadlineSeconds?: number;
  };
  status?: {
    observedGeneration?: number;
    replicas?: number;
    updatedReplicas?: number;
    readyReplicas?: number;
    availableReplicas?: number;
    unavailableReplicas?: number;
    terminatingReplicas?: number;
    conditions?: Condition[];
    collisionCount?: number;
  };
}

export interface DeploymentStrategy {
  type?: 'RollingUpdate' | 'Recreate';
  /** Numbers, or percentages such as `25%`. */
  rollingUpdate?: { maxSurge?: number | string; maxUnavailable?: number | string };
}

export const Deployment = kind<Deployment>({
  group: 'apps',
  version: 'v1',
  kind: 'Deployment',
  plural: 'deployments',
  short: ['deploy'],
  categories: ['all'],
  namespaced: true,
  subresources: ['status', 'scale'],
  generation: 'with annotations',
  defaults: ({ spec }) => {
    if (!spec) return;
    spec.replicas ??= 1;
    spec.strategy ??= {};
    spec.strategy.type ||= 'RollingUpdate';
    if (spec.strategy.type === 'RollingUpdate') {
      spec.strategy.rollingUpdate ??= {};
      spec.strategy.rollingUpdate.maxUnavailable ??= '25%';
      spec.strategy.rollingUpdate.maxSurge ??= '25%';
    }
    spec.revisionHistoryLimit ??= 10;
    spec.progressDeadlineSeconds ??= 600;
    defaultPodTemplate(spec.template);
  },
  prepareCreate: (deployment) => {
    deployment.status = {};
  },
  prepareStatus: (deployment, old) => {
    if (old.metadata.labels) deployment.metadata.labels = old.metadata.labels;
    else delete deployment.metadata.labels;
  },
  validate: (deployment) => [...validateWorkload(deployment), ...validateStrategy(deployment)],
  validateUpdate: (deployment, old) =>
    equal(deployment.spec.selector, old.spec.selector) ? [] : [immutable('spec.selector', deployment.spec.selector)],
  columns: [
    nameColumn,
    { name: 'Ready', value: ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec.replicas ?? 0}` },
    { name: 'Up-to-date', value: ({ status }) => status?.updatedReplicas ?? 0 },
    { name: 'Available', value: ({ status }) => status?.availableReplicas ?? 0 },
    ageColumn,
    ...wideColumns,
  ],
});

function validateStrategy({ spec }: Deployment): FieldError[] {
  const errors: FieldError[] = [];
  const { type, rollingUpdate } = spec?.strategy ?? {};
  if (type === 'Recreate' && rollingUpdate)
    errors.push(
      forbiddenField('spec.strategy.rollingUpdate', "may not be specified when strategy `type` is 'Recreate'"),
    );
  if (type && !['Recreate', 'RollingUpdate'].includes(type))
    errors.push(notSupported('spec.strategy.type', type, ['Recreate', 'RollingUpdate']));
  const { maxSurge = 0, maxUnavailable = 0 } = rollingUpdate ?? {};
  for (const [name, value] of Object.entries({ maxSurge, maxUnavailable })) {
    const field = `spec.strategy.rollingUpdate.${name}`;
    if (typeof value === 'string' && !/^\d+%$/.test(value))
      errors.push(
        bad(
          field,
          value,
          "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%', or '93%', regex used for validation is '[0-9]+%')",
        ),
      );
    if (typeof value === 'number' && value < 0) errors.push(bad(field, value, 'must be greater than or equal to 0'));
  }
  errors.push(...atMost100Percent(maxUnavailable, 'spec.strategy.rollingUpdate.maxUnavailable'));
  const isZero = (value: number | string) => /^0+%?$/.test(String(value));
  if (type === 'RollingUpdate' && isZero(maxSurge) && isZero(maxUnavailable))
    errors.push(bad('spec.strategy.rollingUpdate.maxUnavailable', maxUnavailable, 'may not be 0 when `maxSurge` is 0'));
  if (spec?.progressDeadlineSeconds !== undefined && spec.progressDeadlineSeconds <= (spec.minReadySeconds ?? 0))
    errors.push(
      bad('spec.progressDeadlineSeconds', spec.progressDeadlineSeconds, 'must be greater than minReadySeconds'),
    );
  return errors;
}
