import { ClusterRole } from '../api/kinds/cluster-role.ts';
import type { PolicyRule } from '../api/rbac.ts';
import { matchesLabelSelector } from '../api/selector.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { equal } from '../lib/equal.ts';

/** Roles with an aggregation rule hold the rules of all roles that it selects: `admin`, `edit`, `view` and users' own. */
export function clusterRoleAggregation({ client, informer }: World): Reconciler {
  const roles = informer(ClusterRole);
  const gathering = () => [...roles.list()].filter((role) => role.aggregationRule).map(({ metadata }) => metadata.name);
  return {
    name: 'cluster-role-aggregation',
    watches: [watching(roles, gathering)],
    async reconcile(name, signal) {
      const role = roles.get(name);
      if (!role?.aggregationRule || role.metadata.deletionTimestamp) return;
      const rules = gathered(role, [...roles.list()]);
      if (!equal(rules, role.rules ?? [])) await client.patch(ClusterRole, { name }, { rules }, {}, signal);
    },
  };
}

/** In the order of the roles' names, none twice. */
export function gathered(role: Readonly<ClusterRole>, roles: readonly Readonly<ClusterRole>[]): PolicyRule[] {
  const selectors = role.aggregationRule?.clusterRoleSelectors ?? [];
  const chosen = roles
    .filter(({ metadata }) => metadata.name !== role.metadata.name)
    .filter(({ metadata }) => selectors.some((selector) => matchesLabelSelector(selector, metadata.labels)))
    .sort((a, b) => (a.metadata.name! < b.metadata.name! ? -1 : 1));
  const rules: PolicyRule[] = [];
  for (const rule of chosen.flatMap((one) => one.rules ?? []))
    if (!rules.some((known) => equal(known, rule))) rules.push(rule);
  return rules;
}
