import { equal } from '../../lib/equal.ts';
import { ageColumn, formatLabels, nameColumn } from '../columns.ts';
import { bad, immutable, notSupported, required } from '../field-error.ts';
import { kind, type FieldError } from '../kind.ts';
import type { Condition, KubeObject, LabelSelector } from '../meta.ts';
import { defaultPodTemplate, type PodTemplate } from '../pod-spec-defaults.ts';
import { atMost100Percent, intOrPercent, isZeroShare } from '../rules.ts';
import { containerColumns, selectorColumn, validateWorkload } from '../workload.ts';

export interface DaemonSet extends KubeObject {
  spec: {
    selector: LabelSelector;
    template: PodTemplate;
    updateStrategy?: {
      type?: 'RollingUpdate' | 'OnDelete';
      rollingUpdate?: { maxUnavailable?: number | string; maxSurge?: number | string };
    };
    minReadySeconds?: number;
    revisionHistoryLimit?: number;
  };
  status?: {
    currentNumberScheduled: number;
    numberMisscheduled: number;
    desiredNumberScheduled: number;
    numberReady: number;
    observedGeneration?: number;
    updatedNumberScheduled?: number;
    numberAvailable?: number;
    numberUnavailable?: number;
    collisionCount?: number;
    conditions?: Condition[];
  };
}

export const DaemonSet = kind<DaemonSet>({
  group: 'apps',
  version: 'v1',
  kind: 'DaemonSet',
  plural: 'daemonsets',
  short: ['ds'],
  categories: ['all'],
  namespaced: true,
  subresources: ['status'],
  defaults: ({ spec }) => {
    if (!spec) return;
    spec.updateStrategy ??= {};
    spec.updateStrategy.type ||= 'RollingUpdate';
    if (spec.updateStrategy.type === 'RollingUpdate') {
      spec.updateStrategy.rollingUpdate ??= {};
      spec.updateStrategy.rollingUpdate.maxUnavailable ??= 1;
      spec.updateStrategy.rollingUpdate.maxSurge ??= 0;
    }
    spec.revisionHistoryLimit ??= 10;
    defaultPodTemplate(spec.template);
  },
  prepareCreate: (set) => {
    set.status = { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0 };
  },
  validate: (set) => [...validateWorkload(set, 'DaemonSet'), ...validateStrategy(set)],
  validateUpdate: ({ spec }, old) =>
    equal(spec.selector, old.spec.selector) ? [] : [immutable('spec.selector', spec.selector)],
  columns: [
    nameColumn,
    { name: 'Desired', type: 'integer', value: ({ status }) => status?.desiredNumberScheduled ?? 0 },
    { name: 'Current', type: 'integer', value: ({ status }) => status?.currentNumberScheduled ?? 0 },
    { name: 'Ready', type: 'integer', value: ({ status }) => status?.numberReady ?? 0 },
    { name: 'Up-to-date', type: 'integer', value: ({ status }) => status?.updatedNumberScheduled ?? 0 },
    { name: 'Available', type: 'integer', value: ({ status }) => status?.numberAvailable ?? 0 },
    { name: 'Node Selector', value: ({ spec }) => formatLabels(spec.template.spec?.nodeSelector) },
    ageColumn,
    ...containerColumns<DaemonSet>(({ spec }) => spec.template),
    selectorColumn(({ spec }) => spec.selector),
  ],
});

function validateStrategy({ spec }: DaemonSet): FieldError[] {
  const { type, rollingUpdate } = spec?.updateStrategy ?? {};
  const at = 'spec.updateStrategy';
  if (type === 'OnDelete') return [];
  if (type !== 'RollingUpdate') return [notSupported(at, spec?.updateStrategy, ['OnDelete', 'RollingUpdate'])];
  if (!rollingUpdate) return [required(`${at}.rollingUpdate`)];
  const { maxSurge, maxUnavailable } = rollingUpdate;
  return [
    ...Object.entries({ maxUnavailable, maxSurge }).flatMap(([name, value]) => [
      ...intOrPercent(value, `${at}.rollingUpdate.${name}`),
      ...atMost100Percent(value, `${at}.rollingUpdate.${name}`),
    ]),
    ...(!isZeroShare(maxSurge) && !isZeroShare(maxUnavailable)
      ? [bad(`${at}.rollingUpdate.maxSurge`, maxSurge, 'may not be set when maxUnavailable is non-zero')]
      : []),
    ...(isZeroShare(maxSurge) && isZeroShare(maxUnavailable)
      ? [required(`${at}.rollingUpdate.maxUnavailable`, 'cannot be 0 when maxSurge is 0')]
      : []),
  ];
}
