import { ageColumn, nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import { controllerOf, type KubeObject } from '../meta.ts';

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
