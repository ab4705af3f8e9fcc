import { formatLabels, nameColumn } from '../columns.ts';
import { required } from '../field-error.ts';
import { kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { defaultPodTemplate, type PodTemplate as Template } from '../pod-spec-defaults.ts';
import { validatePodSpec } from '../pod-spec-validate.ts';
import { validateTemplateMeta } from '../validate-meta.ts';
import { containersIn } from '../workload.ts';

export interface PodTemplate extends KubeObject {
  template?: Template;
}

export const PodTemplate = kind<PodTemplate>({
  group: '',
  version: 'v1',
  kind: 'PodTemplate',
  plural: 'podtemplates',
  namespaced: true,
  defaults: ({ template }) => defaultPodTemplate(template),
  validate: ({ template }) =>
    template?.spec
      ? [...validateTemplateMeta(template, 'template'), ...validatePodSpec(template.spec, 'template.spec')]
      : [required('template.spec.containers')],
  columns: [
    nameColumn,
    { name: 'Containers', value: ({ template }) => containersIn(template, (c) => c.name) },
    { name: 'Images', value: ({ template }) => containersIn(template, (c) => c.image ?? '') },
    { name: 'Pod Labels', value: ({ template }) => formatLabels(template?.metadata?.labels) },
  ],
});
