import { equal } from '../../lib/equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { immutable, required } from '../field-error.ts';
import { kind } from '../kind.ts';
import type { Condition, KubeObject } from '../meta.ts';

/** The wish to have every object of a resource written anew, in the form and with the key that are stored today. */
export interface StorageVersionMigration extends KubeObject {
  spec: { resource: { group?: string; resource: string } };
  status?: {
    /** `Running`, `Succeeded` or `Failed`. */
    conditions?: Condition[];
    /** What is newer than this needs no migration. */
    resourceVersion?: string;
  };
}

export const StorageVersionMigration = kind<StorageVersionMigration>({
  group: 'storagemigration.k8s.io',
  version: 'v1beta1',
  kind: 'StorageVersionMigration',
  plural: 'storageversionmigrations',
  namespaced: false,
  subresources: ['status'],
  validate: ({ spec }) =>
    spec?.resource?.resource ? [] : [required('spec.resource.resource', 'name the resource to migrate')],
  validateUpdate: ({ spec }, old) =>
    equal(spec.resource, old.spec.resource) ? [] : [immutable('spec.resource', spec.resource)],
  columns: [nameColumn, ageColumn],
});
