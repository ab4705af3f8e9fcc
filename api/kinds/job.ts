import { age, humanDuration } from '../age.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import type { Condition, KubeObject, LabelSelector } from '../meta.ts';
import { defaultPodTemplate, type PodTemplate } from '../pod-spec-defaults.ts';
import { validateJob, validateJobUpdate } from '../validate-job.ts';
import { containerColumns, selectorColumn } from '../workload.ts';

export interface Job extends KubeObject {
  spec: JobSpec;
  status?: JobStatus;
}

export interface JobSpec {
  parallelism?: number;
  completions?: number;
  completionMode?: 'NonIndexed' | 'Indexed';
  activeDeadlineSeconds?: number;
  backoffLimit?: number;
  backoffLimitPerIndex?: number;
  maxFailedIndexes?: number;
  selector?: LabelSelector;
  manualSelector?: boolean;
  template: PodTemplate;
  ttlSecondsAfterFinished?: number;
  suspend?: boolean;
  podFailurePolicy?: { rules: PodFailureRule[] };
  podReplacementPolicy?: 'TerminatingOrFailed' | 'Failed';
  successPolicy?: { rules: { succeededIndexes?: string; succeededCount?: number }[] };
  managedBy?: string;
}

export interface PodFailureRule {
  action: 'FailJob' | 'FailIndex' | 'Ignore' | 'Count';
  onExitCodes?: { containerName?: string; operator: 'In' | 'NotIn'; values: number[] };
  onPodConditions?: { type: string; status?: string }[];
}

export interface JobStatus {
  conditions?: Condition[];
  startTime?: string;
  completionTime?: string;
  active?: number;
  succeeded?: number;
  failed?: number;
  terminating?: number;
  ready?: number;
  completedIndexes?: string;
  failedIndexes?: string;
  uncountedTerminatedPods?: { succeeded?: string[]; failed?: string[] };
}

export const jobLabels = {
  controllerUid: 'batch.kubernetes.io/controller-uid',
  jobName: 'batch.kubernetes.io/job-name',
  /** As before 1.27; still written. */
  oldControllerUid: 'controller-uid',
  oldJobName: 'job-name',
} as const;

export const Job = kind<Job>({
  group: 'batch',
  version: 'v1',
  kind: 'Job',
  plural: 'jobs',
  categories: ['all'],
  namespaced: true,
  orphansDependents: true,
  subresources: ['status'],
  defaults: ({ metadata, spec }) => {
    if (!spec) return;
    if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1;
    spec.parallelism ??= 1;
    spec.backoffLimit ??= spec.backoffLimitPerIndex === undefined ? 6 : 2147483647;
    spec.completionMode ??= 'NonIndexed';
    spec.suspend ??= false;
    spec.podReplacementPolicy ??= spec.podFailurePolicy ? 'Failed' : 'TerminatingOrFailed';
    for (const rule of spec.podFailurePolicy?.rules ?? [])
      for (const condition of rule.onPodConditions ?? []) condition.status ??= 'True';
    const labels = spec.template?.metadata?.labels;
    if (labels && !Object.keys(metadata.labels ?? {}).length) metadata.labels = { ...labels };
    defaultPodTemplate(spec.template);
  },
  prepareCreate: (job) => {
    job.status = {};
    if (job.spec?.template && !job.spec.manualSelector) selectOwnPods(job);
  },
  validate: validateJob,
  validateUpdate: validateJobUpdate,
  columns: [
    nameColumn,
    { name: 'Status', value: jobStatus },
    { name: 'Completions', value: completions },
    { name: 'Duration', value: jobDuration },
    ageColumn,
    ...containerColumns<Job>(({ spec }) => spec.template),
    selectorColumn(({ spec }) => spec.selector),
  ],
  selectableFields: { 'status.successful': ({ status }) => String(status?.succeeded ?? 0) },
});

/** A job finds its pods by its own UID, unless its author says how. */
function selectOwnPods({ metadata, spec }: Job): void {
  const uid = metadata.uid!;
  const { controllerUid, jobName, oldControllerUid, oldJobName } = jobLabels;
  const name = metadata.name ?? '';
  spec.template.metadata ??= {};
  spec.template.metadata.labels = {
    ...spec.template.metadata.labels,
    [controllerUid]: uid,
    [oldControllerUid]: uid,
    ...(name ? { [jobName]: name, [oldJobName]: name } : {}),
  };
  spec.selector = { ...spec.selector, matchLabels: { ...spec.selector?.matchLabels, [controllerUid]: uid } };
}

const hasCondition = ({ status }: Job, type: string): boolean =>
  status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false;

function jobStatus(job: Job): string {
  if (hasCondition(job, 'Complete')) return 'Complete';
  if (hasCondition(job, 'Failed')) return 'Failed';
  if (job.metadata.deletionTimestamp) return 'Terminating';
  if (hasCondition(job, 'Suspended')) return 'Suspended';
  if (hasCondition(job, 'FailureTarget')) return 'FailureTarget';
  if (hasCondition(job, 'SuccessCriteriaMet')) return 'SuccessCriteriaMet';
  return 'Running';
}

function completions({ spec, status }: Job): string {
  const succeeded = status?.succeeded ?? 0;
  if (spec.completions !== undefined) return `${succeeded}/${spec.completions}`;
  const parallelism = spec.parallelism ?? 0;
  return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`;
}

function jobDuration({ status }: Job, now: number): string {
  if (!status?.startTime) return '';
  if (!status.completionTime) return age(status.startTime, now);
  return humanDuration(Date.parse(status.completionTime) - Date.parse(status.startTime));
}
