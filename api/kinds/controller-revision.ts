import { equal } from '../../lib/equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { immutable, required } from '../field-error.ts';
import { kind } from '../kind.ts';
import { controllerOf, type KubeObject } from '../meta.ts';
import { notNegative } from '../rules.ts';

/** One version of a StatefulSet's or DaemonSet's template, kept to go back to. */
export interface ControllerRevision extends KubeObject {
  data?: unknown;
  revision: number;
}

export const ControllerRevision = kind<ControllerRevision>({
  group: 'apps',
  version: 'v1',
  kind: 'ControllerRevision',
  plural: 'controllerrevisions',
  namespaced: true,
  generation: false,
  validate: ({ data, revision }) => [
    ...(data === undefined ? [required('data', 'data is mandatory')] : []),
    ...notNegative(revision, 'revision'),
  ],
  validateUpdate: ({ data }, old) => (equal(data, old.data) ? [] : [immutable('data', data)]),
  columns: [
    nameColumn,
    { name: 'Controller', value: controllerName },
    { name: 'Revision', type: 'integer', value: (revision) => revision.revision ?? 0 },
    ageColumn,
  ],
});

/** `statefulset.apps/web`. */
function controllerName(revision: ControllerRevision): string {
  const owner = controllerOf(revision);
  if (!owner) return '<none>';
  const group = owner.apiVersion.includes('/') ? `.${owner.apiVersion.split('/')[0]}` : '';
  return `${owner.kind.toLowerCase()}${group}/${owner.name}`;
}
