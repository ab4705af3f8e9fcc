import { age } from '../age.ts';
import { ageColumn, nameColumn, yesNo } from '../columns.ts';
import { kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { defaultPodTemplate } from '../pod-spec-defaults.ts';
import { validateCronJob } from '../validate-job.ts';
import { containerColumns, selectorColumn } from '../workload.ts';
import type { ObjectReference } from './event.ts';
import type { JobSpec } from './job.ts';

export interface CronJob extends KubeObject {
  spec: {
    schedule: string;
    /** An IANA name; the controller's own zone unless set. */
    timeZone?: string;
    startingDeadlineSeconds?: number;
    concurrencyPolicy?: 'Allow' | 'Forbid' | 'Replace';
    suspend?: boolean;
    jobTemplate: {
      metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> };
      spec: JobSpec;
    };
    successfulJobsHistoryLimit?: number;
    failedJobsHistoryLimit?: number;
  };
  status?: { active?: ObjectReference[]; lastScheduleTime?: string; lastSuccessfulTime?: string };
}

export const CronJob = kind<CronJob>({
  group: 'batch',
  version: 'v1',
  kind: 'CronJob',
  plural: 'cronjobs',
  short: ['cj'],
  categories: ['all'],
  namespaced: true,
  subresources: ['status'],
  defaults: ({ spec }) => {
    if (!spec) return;
    spec.concurrencyPolicy ||= 'Allow';
    spec.suspend ??= false;
    spec.successfulJobsHistoryLimit ??= 3;
    spec.failedJobsHistoryLimit ??= 1;
    defaultPodTemplate(spec.jobTemplate?.spec?.template);
  },
  prepareCreate: (job) => {
    job.status = {};
  },
  validate: validateCronJob,
  columns: [
    nameColumn,
    { name: 'Schedule', value: ({ spec }) => spec.schedule },
    { name: 'Timezone', value: ({ spec }) => spec.timeZone ?? '<none>' },
    { name: 'Suspend', type: 'boolean', value: ({ spec }) => yesNo(spec.suspend) },
    { name: 'Active', type: 'integer', value: ({ status }) => status?.active?.length ?? 0 },
    {
      name: 'Last Schedule',
      value: ({ status }, now) => (status?.lastScheduleTime ? age(status.lastScheduleTime, now) : '<none>'),
    },
    ageColumn,
    ...containerColumns<CronJob>(({ spec }) => spec.jobTemplate.spec?.template),
    selectorColumn(({ spec }) => spec.jobTemplate.spec?.selector),
  ],
});
