import { bad, forbiddenField, notSupported, required } from './field-error.ts';
import type { Column, FieldError } from './kind.ts';
import type { KubeObject, LabelSelector } from './meta.ts';
import type { Container } from './kinds/pod.ts';
import type { PodTemplate } from './pod-spec-defaults.ts';
import { validatePodSpec } from './pod-spec-validate.ts';
import { notNegative } from './rules.ts';
import { validateSelector } from './selector-validate.ts';
import { formatSelector, fromLabelSelector, matchesLabelSelector } from './selector.ts';
import { validateTemplateMeta } from './validate-meta.ts';

/** What every controller of pods has: a selector and the template it selects. */
export interface Workload extends KubeObject {
  spec: {
    selector: LabelSelector;
    template: PodTemplate;
    replicas?: number;
    minReadySeconds?: number;
    revisionHistoryLimit?: number;
  };
}

const emptyFor: Record<string, string> = { ReplicaSet: 'deployment' };

/** Rules on a controller's selector and template; `owner` is its kind, as messages name it. */
export function validateWorkload({ spec }: Workload, owner = 'ReplicaSet'): FieldError[] {
  if (!spec) return [required('spec.selector'), required('spec.template')];
  const errors = validateSelector(spec.selector, 'spec.selector');
  const { matchLabels, matchExpressions } = spec.selector ?? {};
  if (spec.selector && !Object.keys(matchLabels ?? {}).length && !matchExpressions?.length)
    errors.push(
      bad('spec.selector', spec.selector, `empty selector is invalid for ${emptyFor[owner] ?? owner.toLowerCase()}`),
    );
  for (const field of ['replicas', 'minReadySeconds', 'revisionHistoryLimit'] as const)
    errors.push(...notNegative(spec[field], `spec.${field}`));
  if (!spec.template?.spec) return [...errors, required('spec.template.spec')];
  const labels = spec.template.metadata?.labels;
  errors.push(...validateTemplateMeta(spec.template, 'spec.template'));
  if (spec.selector && errors.length === 0 && !matchesLabelSelector(spec.selector, labels))
    errors.push(bad('spec.template.metadata.labels', labels ?? null, '`selector` does not match template `labels`'));
  errors.push(...validatePodSpec(spec.template.spec, 'spec.template.spec'));
  if (spec.template.spec.restartPolicy !== 'Always')
    errors.push(notSupported('spec.template.spec.restartPolicy', spec.template.spec.restartPolicy, ['Always']));
  if (spec.template.spec.activeDeadlineSeconds !== undefined)
    errors.push(
      forbiddenField('spec.template.spec.activeDeadlineSeconds', `activeDeadlineSeconds in ${owner} is not Supported`),
    );
  return errors;
}

/** Anything with a pod template somewhere, for its columns. */
type TemplateOf<T> = (object: T) => PodTemplate | undefined;

/** The wide columns that name the containers of a template and their images. */
export const containerColumns = <T>(template: TemplateOf<T>): Column<T>[] => [
  { name: 'Containers', priority: 1, value: (object) => containersIn(template(object), (c) => c.name) },
  { name: 'Images', priority: 1, value: (object) => containersIn(template(object), (c) => c.image ?? '') },
];

export const containersIn = (template: PodTemplate | undefined, word: (container: Container) => string): string =>
  (template?.spec?.containers ?? []).map(word).join(',');

export const selectorColumn = <T>(selector: (object: T) => LabelSelector | undefined): Column<T> => ({
  name: 'Selector',
  priority: 1,
  value: (object) => formatSelector(fromLabelSelector(selector(object)) ?? []) || '<none>',
});

/** The wide columns of workloads. */
export const wideColumns: readonly Column<Workload>[] = [
  ...containerColumns<Workload>((object) => object.spec.template),
  selectorColumn((object) => object.spec.selector),
];
