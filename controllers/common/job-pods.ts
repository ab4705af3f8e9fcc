import { type Job, type PodFailureRule, jobLabels } from '../../api/kinds/job.ts';
import type { ContainerStatus, Pod } from '../../api/kinds/pod.ts';
import type { Stored } from '../../api/meta.ts';
import { podFrom } from './pods.ts';

type StoredPod = Pod & Stored;

export const tracking = 'batch.kubernetes.io/job-tracking';
const indexKey = 'batch.kubernetes.io/job-completion-index';
const failuresKey = 'batch.kubernetes.io/job-index-failure-count';
const ignoredKey = 'batch.kubernetes.io/job-index-ignored-failure-count';

export const isIndexed = ({ spec }: Job): boolean => spec.completionMode === 'Indexed';

/** Its end has not been counted yet. */
export const isTracked = ({ metadata }: Pod): boolean => metadata.finalizers?.includes(tracking) ?? false;

export function indexOf({ metadata }: Pod): number | undefined {
  const text = metadata.annotations?.[indexKey];
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** How often pods of this pod's index failed before it. */
export const failuresBefore = ({ metadata }: Pod): number => Number(metadata.annotations?.[failuresKey] ?? 0);
export const ignoredBefore = ({ metadata }: Pod): number => Number(metadata.annotations?.[ignoredKey] ?? 0);

/** Unless only failed pods are replaced, one that is going has failed: it may never get to say so. */
export const hasFailed = ({ spec }: Job, { metadata, status }: Pod): boolean =>
  status?.phase === 'Failed' ||
  (spec.podReplacementPolicy !== 'Failed' && metadata.deletionTimestamp !== undefined && status?.phase !== 'Succeeded');

/** When the pod ended, milliseconds. */
export function endOf({ metadata, status }: Pod): number {
  const ends = (status?.containerStatuses ?? []).flatMap(({ state }) => state?.terminated?.finishedAt ?? []);
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime;
  const known = ends.length > 0 ? ends : [metadata.deletionTimestamp ?? ready ?? metadata.creationTimestamp ?? ''];
  return Math.max(...known.map((time) => Date.parse(time)));
}

/** The first rule that speaks of this failure, and in which words. */
export function failureRule(
  { spec }: Job,
  pod: StoredPod,
): { action: PodFailureRule['action']; words: string } | undefined {
  for (const [i, rule] of (spec.podFailurePolicy?.rules ?? []).entries()) {
    const words = rule.onExitCodes ? byExitCode(rule.onExitCodes, pod) : byCondition(rule.onPodConditions ?? [], pod);
    if (words) return { action: rule.action, words: `${words} matching ${rule.action} rule at index ${i}` };
  }
  return undefined;
}

function byExitCode({ containerName, operator, values }: NonNullable<PodFailureRule['onExitCodes']>, pod: StoredPod) {
  const all: readonly ContainerStatus[] = [
    ...(pod.status?.initContainerStatuses ?? []),
    ...(pod.status?.containerStatuses ?? []),
  ];
  for (const { name, state } of all) {
    const code = state?.terminated?.exitCode ?? 0;
    if (code === 0 || (containerName && containerName !== name)) continue;
    if (values.includes(code) === (operator === 'In'))
      return `Container ${name} for pod ${pod.metadata.namespace}/${pod.metadata.name} failed with exit code ${code}`;
  }
  return undefined;
}

function byCondition(patterns: NonNullable<PodFailureRule['onPodConditions']>, { metadata, status }: StoredPod) {
  const found = patterns.find((pattern) =>
    status?.conditions?.some((c) => c.type === pattern.type && c.status === (pattern.status ?? 'True')),
  );
  return found && `Pod ${metadata.namespace}/${metadata.name} has condition ${found.type}`;
}

/** A pod of the job; of one index, where it has indexes, after so many failures of that index. */
export function jobPod(job: Job & Stored, index: number | undefined, before: { failed: number; ignored: number }): Pod {
  const { name, namespace = '', uid } = job.metadata;
  const pod = podFrom(job.spec.template, index === undefined ? name : `${name}-${index}`, namespace);
  pod.metadata.finalizers = [tracking];
  pod.metadata.labels = {
    ...pod.metadata.labels,
    [jobLabels.jobName]: name,
    [jobLabels.oldJobName]: name,
    [jobLabels.controllerUid]: uid,
    [jobLabels.oldControllerUid]: uid,
  };
  if (index === undefined) return pod;
  pod.metadata.labels[indexKey] = String(index);
  pod.metadata.annotations = {
    ...pod.metadata.annotations,
    [indexKey]: String(index),
    ...(job.spec.backoffLimitPerIndex === undefined ? {} : { [failuresKey]: String(before.failed) }),
    ...(before.ignored > 0 ? { [ignoredKey]: String(before.ignored) } : {}),
  };
  pod.spec.hostname ??= `${name}-${index}`;
  for (const container of [...(pod.spec.initContainers ?? []), ...pod.spec.containers])
    if (!container.env?.some((variable) => variable.name === 'JOB_COMPLETION_INDEX'))
      container.env = [
        ...(container.env ?? []),
        { name: 'JOB_COMPLETION_INDEX', valueFrom: { fieldRef: { fieldPath: `metadata.labels['${indexKey}']` } } },
      ];
  return pod;
}
