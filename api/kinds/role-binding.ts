import { ageColumn, nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { checkPathSegment } from '../names.ts';
import {
  defaultBinding,
  rbacGroup,
  roleOf,
  subjectsOf,
  validateBinding,
  validateBindingUpdate,
  type RoleRef,
  type Subject,
} from '../rbac.ts';

export interface RoleBinding extends KubeObject {
  roleRef: RoleRef;
  subjects?: Subject[];
}

export const RoleBinding = kind<RoleBinding>({
  group: rbacGroup,
  version: 'v1',
  kind: 'RoleBinding',
  plural: 'rolebindings',
  namespaced: true,
  generation: false,
  checkName: checkPathSegment,
  defaults: defaultBinding,
  validate: (binding) => validateBinding(binding, ['ClusterRole', 'Role']),
  validateUpdate: validateBindingUpdate,
  columns: [
    nameColumn,
    { name: 'Role', value: roleOf },
    ageColumn,
    { name: 'Users', priority: 1, value: (binding) => subjectsOf(binding, 'User') },
    { name: 'Groups', priority: 1, value: (binding) => subjectsOf(binding, 'Group') },
    { name: 'ServiceAccounts', priority: 1, value: (binding) => subjectsOf(binding, 'ServiceAccount') },
  ],
});
