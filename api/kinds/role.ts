import { createdColumn, nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { checkPathSegment } from '../names.ts';
import { rbacGroup, validateRules, type PolicyRule } from '../rbac.ts';

export interface Role extends KubeObject {
  rules?: PolicyRule[] | null;
}

export const Role = kind<Role>({
  group: rbacGroup,
  version: 'v1',
  kind: 'Role',
  plural: 'roles',
  namespaced: true,
  generation: false,
  checkName: checkPathSegment,
  validate: ({ rules }) => validateRules(rules, true),
  columns: [nameColumn, createdColumn],
});
