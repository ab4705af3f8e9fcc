import { createdColumn, nameColumn } from '../columns.ts';
import { required } from '../field-error.ts';
import { kind, type FieldError } from '../kind.ts';
import type { KubeObject, LabelSelector } from '../meta.ts';
import { checkPathSegment } from '../names.ts';
import { rbacGroup, validateRules, type PolicyRule } from '../rbac.ts';

export interface ClusterRole extends KubeObject {
  rules?: PolicyRule[] | null;
  /** Whose rules a controller gathers into this one's. */
  aggregationRule?: { clusterRoleSelectors?: LabelSelector[] };
}

export const ClusterRole = kind<ClusterRole>({
  group: rbacGroup,
  version: 'v1',
  kind: 'ClusterRole',
  plural: 'clusterroles',
  namespaced: false,
  generation: false,
  checkName: checkPathSegment,
  validate: ({ rules, aggregationRule }) => {
    const errors: FieldError[] = validateRules(rules, false);
    if (aggregationRule && !aggregationRule.clusterRoleSelectors?.length)
      errors.push(
        required(
          'aggregationRule.clusterRoleSelectors',
          'at least one clusterRoleSelector required if aggregationRule is non-nil',
        ),
      );
    return errors;
  },
  columns: [nameColumn, createdColumn],
});
