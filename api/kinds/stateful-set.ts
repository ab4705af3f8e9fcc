import { equal } from '../../lib/equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { bad, forbiddenField } from '../field-error.ts';
import { kind, type FieldError } from '../kind.ts';
import type { Condition, KubeObject, LabelSelector } from '../meta.ts';
import { defaultPodTemplate, type PodTemplate } from '../pod-spec-defaults.ts';
import { each, intOrPercent, mustBeOneOf, notNegative, oneOf } from '../rules.ts';
import { containerColumns, validateWorkload } from '../workload.ts';
import { defaultClaim, type PersistentVolumeClaim } from './persistent-volume-claim.ts';

export interface StatefulSet extends KubeObject {
  spec: {
    replicas?: number;
    selector: LabelSelector;
    template: PodTemplate;
    volumeClaimTemplates?: PersistentVolumeClaim[];
    serviceName?: string;
    podManagementPolicy?: 'OrderedReady' | 'Parallel';
    updateStrategy?: {
      type?: 'RollingUpdate' | 'OnDelete';
      rollingUpdate?: { partition?: number; maxUnavailable?: number | string };
    };
    revisionHistoryLimit?: number;
    minReadySeconds?: number;
    persistentVolumeClaimRetentionPolicy?: { whenDeleted?: Retention; whenScaled?: Retention };
    ordinals?: { start?: number };
  };
  status?: {
    replicas: number;
    observedGeneration?: number;
    readyReplicas?: number;
    currentReplicas?: number;
    updatedReplicas?: number;
    availableReplicas?: number;
    currentRevision?: string;
    updateRevision?: string;
    collisionCount?: number;
    conditions?: Condition[];
  };
}

const updateRule =
  "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";

/** What of a StatefulSet never changes. */
function fixedPart(spec: StatefulSet['spec']) {
  const { selector, volumeClaimTemplates = [], serviceName = '', podManagementPolicy } = spec;
  const claims = volumeClaimTemplates.map(({ metadata, spec: claim }) => ({ metadata, claim }));
  return { selector, claims, serviceName, podManagementPolicy };
}

function validateSpec({ spec }: StatefulSet): FieldError[] {
  if (!spec) return [];
  const { type, rollingUpdate } = spec.updateStrategy ?? {};
  const at = 'spec.updateStrategy';
  const policy = 'spec.podManagementPolicy';
  const retention = spec.persistentVolumeClaimRetentionPolicy;
  const choices = ['Delete', 'Retain'];
  return [
    ...(['OrderedReady', 'Parallel'].includes(spec.podManagementPolicy ?? '')
      ? []
      : [bad(policy, spec.podManagementPolicy, "must be 'OrderedReady' or 'Parallel'")]),
    ...(type === 'RollingUpdate' || type === 'OnDelete'
      ? []
      : [bad(at, spec.updateStrategy, "must be 'RollingUpdate' or 'OnDelete'")]),
    ...(type === 'OnDelete' && rollingUpdate
      ? [bad(`${at}.rollingUpdate`, rollingUpdate, "only allowed for updateStrategy 'RollingUpdate'")]
      : []),
    ...notNegative(rollingUpdate?.partition, `${at}.rollingUpdate.partition`),
    ...intOrPercent(rollingUpdate?.maxUnavailable, `${at}.rollingUpdate.maxUnavailable`),
    ...mustBeOneOf(retention?.whenDeleted, choices, 'spec.persistentVolumeClaimRetentionPolicy.whenDeleted'),
    ...mustBeOneOf(retention?.whenScaled, choices, 'spec.persistentVolumeClaimRetentionPolicy.whenScaled'),
    ...notNegative(spec.ordinals?.start, 'spec.ordinals.start'),
    ...each(spec.volumeClaimTemplates, 'spec.volumeClaimTemplates', (claim, field) =>
      oneOf(claim.spec?.volumeMode, ['Block', 'Filesystem'], `${field}.spec.volumeMode`),
    ),
  ];
}

/** Its pods have a volume for each claim template: what is mounted must be among all of them. */
function withClaims(set: StatefulSet): StatefulSet {
  const template = set.spec?.template;
  if (!template?.spec) return set;
  const own = template.spec.volumes ?? [];
  const claimed = (set.spec.volumeClaimTemplates ?? [])
    .map(({ metadata }) => ({ name: metadata?.name ?? '', persistentVolumeClaim: { claimName: metadata?.name ?? '' } }))
    .filter(({ name }) => own.every((volume) => volume.name !== name));
  const spec = { ...template.spec, volumes: [...own, ...claimed] };
  return { ...set, spec: { ...set.spec, template: { ...template, spec } } };
}

type Retention = 'Retain' | 'Delete';

export const StatefulSet = kind<StatefulSet>({
  group: 'apps',
  version: 'v1',
  kind: 'StatefulSet',
  plural: 'statefulsets',
  short: ['sts'],
  categories: ['all'],
  namespaced: true,
  subresources: ['status', 'scale'],
  defaults: ({ spec }) => {
    if (!spec) return;
    spec.podManagementPolicy ||= 'OrderedReady';
    spec.updateStrategy ??= {};
    if (!spec.updateStrategy.type) {
      spec.updateStrategy.type = 'RollingUpdate';
      spec.updateStrategy.rollingUpdate ??= {};
    }
    if (spec.updateStrategy.rollingUpdate) spec.updateStrategy.rollingUpdate.partition ??= 0;
    spec.persistentVolumeClaimRetentionPolicy ??= {};
    spec.persistentVolumeClaimRetentionPolicy.whenDeleted ||= 'Retain';
    spec.persistentVolumeClaimRetentionPolicy.whenScaled ||= 'Retain';
    spec.replicas ??= 1;
    spec.revisionHistoryLimit ??= 10;
    defaultPodTemplate(spec.template);
    for (const claim of spec.volumeClaimTemplates ?? []) {
      claim.apiVersion = 'v1';
      claim.kind = 'PersistentVolumeClaim';
      defaultClaim(claim);
    }
  },
  prepareCreate: (set) => {
    set.status = { replicas: 0 };
  },
  validate: (set) => [...validateWorkload(withClaims(set), 'StatefulSet'), ...validateSpec(set)],
  validateUpdate: ({ spec }, old) =>
    equal(fixedPart(spec), fixedPart(old.spec)) ? [] : [forbiddenField('spec', updateRule)],
  columns: [
    nameColumn,
    { name: 'Ready', value: ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec.replicas ?? 0}` },
    ageColumn,
    ...containerColumns<StatefulSet>(({ spec }) => spec.template),
  ],
});
