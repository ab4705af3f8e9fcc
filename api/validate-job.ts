import { equal } from '../lib/equal.ts';
import { checkSchedule, isTimeZone } from './cron.ts';
import { bad, forbiddenField, immutable, notSupported, required } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { CronJob } from './kinds/cron-job.ts';
import { jobLabels, type Job, type JobSpec, type PodFailureRule } from './kinds/job.ts';
import type { ObjectMeta } from './meta.ts';
import { checkDnsSubdomain } from './names.ts';
import { validatePodSpec } from './pod-spec-validate.ts';
import { atLeast, each, mustBeOneOf, named, notNegative, oneOf } from './rules.ts';
import { matchesLabelSelector } from './selector.ts';
import { validateSelector } from './selector-validate.ts';
import { validateTemplateMeta } from './validate-meta.ts';

const maxIndexedParallelism = 100_000;

export function validateJob({ metadata, spec }: Job): FieldError[] {
  const errors = validateJobSpec(spec, 'spec');
  if (!spec?.template) return errors;
  const labels = spec.template.metadata?.labels ?? {};
  errors.push(...validateSelector(spec.selector, 'spec.selector'));
  if (spec.selector && !matchesLabelSelector(spec.selector, labels))
    errors.push(bad('spec.template.metadata.labels', labels, '`selector` does not match template `labels`'));
  if (spec.selector && !spec.manualSelector && !matchesLabelSelector(spec.selector, ownLabels(metadata)))
    errors.push(bad('spec.selector', spec.selector, '`selector` not auto-generated'));
  return errors;
}

/** What the selector that the server makes may ask of a pod. */
const ownLabels = ({ uid = '', name = '' }: ObjectMeta): Record<string, string> => ({
  ...{ [jobLabels.controllerUid]: uid, [jobLabels.oldControllerUid]: uid },
  ...{ [jobLabels.jobName]: name, [jobLabels.oldJobName]: name },
});

function validateJobSpec(spec: JobSpec | undefined, at: string): FieldError[] {
  if (!spec?.template?.spec) return [required(`${at}.template.spec.containers`)];
  const counts = [
    'parallelism',
    'completions',
    'activeDeadlineSeconds',
    'backoffLimit',
    'backoffLimitPerIndex',
    'maxFailedIndexes',
    'ttlSecondsAfterFinished',
  ] as const;
  const { restartPolicy } = spec.template.spec;
  const restarts = `${at}.template.spec.restartPolicy`;
  return [
    ...counts.flatMap((name) => notNegative(spec[name], `${at}.${name}`)),
    ...oneOf(spec.completionMode, ['Indexed', 'NonIndexed'], `${at}.completionMode`),
    ...validateIndexed(spec, at),
    ...each(spec.podFailurePolicy?.rules, `${at}.podFailurePolicy.rules`, (rule, field) =>
      validateFailureRule(rule, spec, field),
    ),
    ...(spec.podFailurePolicy && restartPolicy !== 'Never'
      ? [bad(restarts, restartPolicy, 'only "Never" is supported when podFailurePolicy is specified')]
      : []),
    ...oneOf(
      spec.podReplacementPolicy,
      spec.podFailurePolicy ? ['Failed'] : ['Failed', 'TerminatingOrFailed'],
      `${at}.podReplacementPolicy`,
    ),
    ...validateTemplateMeta(spec.template, `${at}.template`),
    ...validatePodSpec(spec.template.spec, `${at}.template.spec`),
    // Always is what nobody chose: the default of pods.
    ...(restartPolicy === 'Always'
      ? [
          {
            ...notSupported(restarts, restartPolicy, ['Never', 'OnFailure']),
            type: 'Required',
            detail: restartRule,
          } as const,
        ]
      : oneOf(restartPolicy, ['Never', 'OnFailure'], restarts)),
  ];
}

const restartRule = 'valid values: "OnFailure", "Never"';

function validateIndexed(spec: JobSpec, at: string): FieldError[] {
  const errors: FieldError[] = [];
  if (spec.completionMode === 'Indexed') {
    if (spec.completions === undefined) errors.push(required(`${at}.completions`, 'when completion mode is Indexed'));
    if ((spec.parallelism ?? 0) > maxIndexedParallelism)
      errors.push(
        bad(
          `${at}.parallelism`,
          spec.parallelism,
          `must be less than or equal to ${maxIndexedParallelism} when completion mode is Indexed`,
        ),
      );
    return errors;
  }
  if (spec.backoffLimitPerIndex !== undefined)
    errors.push(bad(`${at}.backoffLimitPerIndex`, spec.backoffLimitPerIndex, 'requires indexed completion mode'));
  if (spec.maxFailedIndexes !== undefined)
    errors.push(bad(`${at}.maxFailedIndexes`, spec.maxFailedIndexes, 'requires indexed completion mode'));
  if (spec.successPolicy)
    errors.push(bad(`${at}.successPolicy`, spec.successPolicy, 'requires indexed completion mode'));
  return errors;
}

function validateFailureRule(rule: PodFailureRule, spec: JobSpec, at: string): FieldError[] {
  const { onExitCodes: exit, onPodConditions: conditions } = rule;
  const errors = mustBeOneOf(rule.action, ['Count', 'FailIndex', 'FailJob', 'Ignore'], `${at}.action`);
  if (rule.action === 'FailIndex' && spec.backoffLimitPerIndex === undefined)
    errors.push(bad(`${at}.action`, rule.action, 'requires the backoffLimitPerIndex to be set'));
  if (exit && conditions?.length)
    errors.push(bad(at, '', 'specifying both OnExitCodes and OnPodConditions is not supported'));
  if (!exit && !conditions?.length)
    errors.push(bad(at, '', 'specifying one of OnExitCodes and OnPodConditions is required'));
  if (!exit) return errors;
  errors.push(...mustBeOneOf(exit.operator, ['In', 'NotIn'], `${at}.onExitCodes.operator`));
  const { containers, initContainers = [] } = spec.template.spec;
  if (exit.containerName && ![...containers, ...initContainers].some(({ name }) => name === exit.containerName))
    errors.push(
      bad(
        `${at}.onExitCodes.containerName`,
        exit.containerName,
        'must be one of the container or initContainer names in the pod template',
      ),
    );
  const values = exit.values ?? [];
  if (values.length === 0) errors.push(bad(`${at}.onExitCodes.values`, values, 'at least one value is required'));
  if (exit.operator === 'In' && values.includes(0))
    errors.push(bad(`${at}.onExitCodes.values[${values.indexOf(0)}]`, 0, 'must not be 0 for the In operator'));
  return errors;
}

/** Suspended jobs that never ran may be placed elsewhere; else a job's template stays what it is. */
export function validateJobUpdate({ spec }: Job, old: Job): FieldError[] {
  const errors: FieldError[] = [];
  const mayMove = old.spec.suspend && !old.status?.startTime;
  const fixed = (template: JobSpec['template']) => (mayMove ? withoutPlacement(template) : template);
  if (!equal(fixed(spec.template), fixed(old.spec.template))) errors.push(immutable('spec.template', spec.template));
  const elastic = spec.completionMode === 'Indexed' && spec.completions === spec.parallelism;
  if (spec.completions !== old.spec.completions && !elastic)
    errors.push(immutable('spec.completions', spec.completions));
  for (const name of [
    'selector',
    'completionMode',
    'podFailurePolicy',
    'backoffLimitPerIndex',
    'managedBy',
    'successPolicy',
  ] as const)
    if (!equal(spec[name], old.spec[name])) errors.push(immutable(`spec.${name}`, spec[name] ?? null));
  return errors;
}

function withoutPlacement({ metadata, spec }: JobSpec['template']) {
  const { nodeSelector: _n, affinity: _a, tolerations: _t, schedulingGates: _g, ...rest } = spec;
  const { labels: _l, annotations: _annotations, ...others } = metadata ?? {};
  return { metadata: others, spec: rest };
}

export function validateCronJob({ metadata, spec }: CronJob): FieldError[] {
  if (!spec) return [required('spec.schedule')];
  const errors: FieldError[] = [];
  const { name = '' } = metadata;
  if (name.length > 52) errors.push(bad('metadata.name', name, 'must be no more than 52 characters'));
  if (!spec.schedule) errors.push(required('spec.schedule'));
  else errors.push(...checkSchedule(spec.schedule).map((detail) => bad('spec.schedule', spec.schedule, detail)));
  if (/TZ/.test(spec.schedule ?? '') && spec.timeZone !== undefined)
    errors.push(bad('spec.schedule', spec.schedule, 'cannot use both timeZone field and TZ or CRON_TZ in schedule'));
  if (spec.timeZone !== undefined && !isTimeZone(spec.timeZone))
    errors.push(bad('spec.timeZone', spec.timeZone, zoneError(spec.timeZone)));
  errors.push(
    ...notNegative(spec.startingDeadlineSeconds, 'spec.startingDeadlineSeconds'),
    ...mustBeOneOf(spec.concurrencyPolicy, ['Allow', 'Forbid', 'Replace'], 'spec.concurrencyPolicy'),
    ...atLeast(spec.successfulJobsHistoryLimit, 0, 'spec.successfulJobsHistoryLimit'),
    ...atLeast(spec.failedJobsHistoryLimit, 0, 'spec.failedJobsHistoryLimit'),
    ...validateJobSpec(spec.jobTemplate?.spec, 'spec.jobTemplate.spec'),
    ...named(name, checkDnsSubdomain, 'metadata.name'),
  );
  if (spec.jobTemplate?.spec?.selector)
    errors.push(
      bad('spec.jobTemplate.spec.selector', spec.jobTemplate.spec.selector, '`selector` will be auto-generated'),
    );
  if (spec.jobTemplate?.spec?.manualSelector)
    errors.push(forbiddenField('spec.jobTemplate.spec.manualSelector', 'jobs of a schedule select their own pods'));
  return errors;
}

const zoneError = (zone: string): string =>
  zone === '' ? 'timeZone must be nil or non-empty string' : `unknown time zone ${zone}`;
