import type { ClusterRole } from '../../api/kinds/cluster-role.ts';
import type { KubeObject } from '../../api/meta.ts';
import { rbacGroup, type PolicyRule, type RoleRef } from '../../api/rbac.ts';
import { forbidden } from '../../api/status.ts';
import { equal } from '../../lib/equal.ts';
import { attributes, type Authorizer } from '../auth/authorize.ts';
import { describeRule, uncovered } from '../auth/covers.ts';
import type { Rbac } from '../auth/rbac.ts';
import type { AdmissionRequest, AdmissionRule } from './order.ts';

/**
 * Nobody gives more than he has: who writes a role must hold its rules or may `escalate`; who binds one must hold its
 * rules or may `bind` it.
 * https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
 */
export const rbacEscalation = (rbac: Rbac, authorizer: Authorizer): AdmissionRule => {
  const may = async ({ options, kind, object }: AdmissionRequest, verb: string, resource: string, name: string) => {
    const { namespace = '' } = object.metadata;
    const asked = attributes({ verb, group: rbacGroup, version: kind.version, resource, name, namespace });
    return (await authorizer.judge(options.user, asked)).allowed;
  };
  const checkHolds = ({ options, kind, object }: AdmissionRequest, wanted: readonly PolicyRule[]) => {
    const { namespace = '', name = '' } = object.metadata;
    const lacking = uncovered(rbac.rules(options.user, namespace).rules, wanted);
    if (lacking.length === 0) return;
    const { name: user, groups } = options.user;
    throw forbidden(
      kind,
      name,
      `user "${user}" (groups=${JSON.stringify(groups)}) is attempting to grant RBAC permissions not currently held:\n${lacking.map(describeRule).join('\n')}`,
    );
  };
  return {
    name: 'RbacEscalation',
    validate: async (request) => {
      const { kind, object, old, operation, options } = request;
      if (kind.group !== rbacGroup || operation === 'delete' || options.user.groups.includes('system:masters')) return;
      if (kind.kind.endsWith('Role')) {
        const wanted = rulesIn(object);
        if (old && equal(wanted, rulesIn(old))) return;
        if (!(await may(request, 'escalate', kind.plural, object.metadata.name ?? ''))) checkHolds(request, wanted);
        return;
      }
      if (old && equal(subjectsIn(object), subjectsIn(old))) return;
      const { roleRef } = object as KubeObject & { roleRef: RoleRef };
      if (await may(request, 'bind', roleRef.kind === 'Role' ? 'roles' : 'clusterroles', roleRef.name)) return;
      const rules = rbac.rulesOf(roleRef, object.metadata.namespace ?? '');
      if (!rules)
        throw forbidden(
          kind,
          object.metadata.name ?? '',
          `${roleRef.kind.toLowerCase()}.${rbacGroup} "${roleRef.name}" not found`,
        );
      checkHolds(request, rules);
    },
  };
};

const everything: PolicyRule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
];

/** A role that gathers others may come to hold anything. */
const rulesIn = (object: Readonly<KubeObject>): readonly PolicyRule[] => {
  const { rules, aggregationRule } = object as Readonly<ClusterRole>;
  return aggregationRule ? everything : (rules ?? []);
};

const subjectsIn = (object: Readonly<KubeObject>): unknown => (object as { subjects?: unknown }).subjects ?? [];
