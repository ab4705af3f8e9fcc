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

export interface ClusterRoleBinding extends KubeObject {
  roleRef: RoleRef;
  subjects?: Subject[];
}

export const ClusterRoleBinding = kind<ClusterRoleBinding>({
  group: rbacGroup,
  version: 'v1',
  kind: 'ClusterRoleBinding',
  plural: 'clusterrolebindings',
  namespaced: false,
  generation: false,
  checkName: checkPathSegment,
  defaults: defaultBinding,
  validate: (binding) => validateBinding(binding, ['ClusterRole']),
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
