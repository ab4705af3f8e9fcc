import type { Kind } from '../../../api/kind.ts';
import { ClusterRoleBinding } from '../../../api/kinds/cluster-role-binding.ts';
import { ClusterRole } from '../../../api/kinds/cluster-role.ts';
import { RoleBinding } from '../../../api/kinds/role-binding.ts';
import { Role } from '../../../api/kinds/role.ts';
import type { KubeObject, ObjectMeta } from '../../../api/meta.ts';
import { rbacGroup, type PolicyRule, type RoleRef, type Subject } from '../../../api/rbac.ts';
import { isAlreadyExists } from '../../../api/status.ts';
import type { Registry } from '../../registry.ts';
import { uncovered } from '../covers.ts';
import { self } from '../user.ts';
import { boundTo, components, framework, namespaceBindings, namespaceRoles } from './components.ts';
import { controllers } from './controllers.ts';
import { parsePolicy } from './rules.ts';
import { aggregated, userFacing } from './user-facing.ts';

const options = { dryRun: false, user: self, fieldManager: 'kube-apiserver' };
const autoupdate = 'rbac.authorization.kubernetes.io/autoupdate';
const aggregateTo = (role: string): string => `rbac.authorization.k8s.io/aggregate-to-${role}`;

interface RbacObject extends KubeObject {
  rules?: PolicyRule[] | null;
  aggregationRule?: unknown;
  roleRef?: RoleRef;
  subjects?: Subject[];
}

/** One object of the default policy. */
interface Default {
  kind: Kind;
  object: RbacObject;
}

/**
 * Makes the default policy, and adds what is missing to the part of it that is there: rules, subjects, labels. What an
 * administrator added stays, and so does whatever he marked with `autoupdate: "false"`.
 */
export async function reconcilePolicy(registry: Registry): Promise<void> {
  await Promise.all(defaultPolicy().map((one) => reconcile(registry, one)));
}

/** The objects that every cluster has. */
export function defaultPolicy(): Default[] {
  const own = parsePolicy(controllers);
  const roles = new Map([...parsePolicy(userFacing), ...parsePolicy(components), ...parsePolicy(framework), ...own]);
  roles.set('km:controllers', [...own.values()].flat());
  return [
    ...[...roles].map(([name, rules]) => clusterRole(name, rules, labelsOf(name))),
    ...aggregatedRoles(roles),
    ...Object.entries(boundTo).map(([name, to]) => binding(ClusterRoleBinding, { name }, 'ClusterRole', name, to)),
    ...[...own.keys()].map((name) =>
      binding(ClusterRoleBinding, { name }, 'ClusterRole', name, [`ServiceAccount kube-system ${name.split(':')[2]}`]),
    ),
    ...[...parsePolicy(namespaceRoles)].map(([path, rules]) => {
      const [namespace = '', name = ''] = path.split(/\/(.*)/s);
      return { kind: Role as Kind, object: { metadata: meta({ name, namespace }), rules } };
    }),
    ...namespaceBindings.map(({ role, name: own_, to }) => {
      const [namespace = '', name = ''] = role.split(/\/(.*)/s);
      return binding(RoleBinding, { name: own_ ?? name, namespace }, 'Role', name, to);
    }),
  ];
}

const clusterRole = (
  name: string,
  rules: PolicyRule[],
  labels: Record<string, string>,
  more: object = {},
): Default => ({
  kind: ClusterRole as Kind,
  object: { metadata: meta({ name, labels }), rules, ...more },
});

function labelsOf(name: string): Record<string, string> {
  const into = /^system:aggregate-to-(.*)$/.exec(name)?.[1];
  return into === undefined ? {} : { [aggregateTo(into)]: 'true' };
}

/** Those that a controller keeps up to date begin with what it would find. */
function aggregatedRoles(roles: ReadonlyMap<string, PolicyRule[]>): Default[] {
  const gathered = (name: string): PolicyRule[] => [
    ...(roles.get(`system:aggregate-to-${name}`) ?? []),
    ...Object.entries(aggregated).flatMap(([other, { into }]) => (into === name ? gathered(other) : [])),
  ];
  return Object.entries(aggregated).map(([name, { from, into }]) =>
    clusterRole(name, gathered(name), into ? { [aggregateTo(into)]: 'true' } : {}, {
      aggregationRule: { clusterRoleSelectors: [{ matchLabels: { [aggregateTo(from)]: 'true' } }] },
    }),
  );
}

const meta = (given: ObjectMeta): ObjectMeta => ({
  ...given,
  labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults', ...given.labels },
  annotations: { [autoupdate]: 'true' },
});

const binding = <T extends KubeObject>(
  kind: Kind<T>,
  name: ObjectMeta,
  roleKind: string,
  role: string,
  to: readonly string[],
): Default => ({
  kind: kind as Kind<never> as Kind,
  object: {
    metadata: meta(name),
    roleRef: { apiGroup: rbacGroup, kind: roleKind, name: role },
    ...(to.length > 0 ? { subjects: to.map(subjectOf) } : {}),
  },
});

function subjectOf(text: string): Subject {
  const [kind = '', ...rest] = text.split(' ');
  return kind === 'ServiceAccount'
    ? { kind, namespace: rest[0]!, name: rest[1]! }
    : { kind, apiGroup: rbacGroup, name: rest[0]! };
}

async function reconcile(registry: Registry, { kind, object }: Default): Promise<void> {
  const { namespace = '', name = '' } = object.metadata;
  const key = namespace ? `${namespace}/${name}` : name;
  const found = registry.feed.cache(kind).get(key) ?? (await registry.read(kind, key));
  if (!found) {
    await registry.create(kind, structuredClone(object), namespace, options).catch((error: unknown) => {
      // Another apiserver was quicker.
      if (!isAlreadyExists(error)) throw error;
    });
  } else if (lacks(found.object, object))
    await registry.update(kind, key, 'main', options, (current) => completed(current, object));
}

function lacks(current: Readonly<RbacObject>, wanted: RbacObject): boolean {
  const { labels = {}, annotations = {} } = current.metadata;
  if (annotations[autoupdate] === 'false') return false;
  return (
    annotations[autoupdate] === undefined ||
    Object.entries(wanted.metadata.labels ?? {}).some(([key, value]) => labels[key] !== value) ||
    missingRules(current, wanted).length > 0 ||
    missingSubjects(current, wanted).length > 0
  );
}

const missingRules = (current: Readonly<RbacObject>, wanted: RbacObject): PolicyRule[] =>
  wanted.aggregationRule ? [] : uncovered(current.rules ?? [], wanted.rules ?? []);

const missingSubjects = (current: Readonly<RbacObject>, wanted: RbacObject): Subject[] =>
  (wanted.subjects ?? []).filter(
    ({ kind, name, namespace }) =>
      !current.subjects?.some((one) => one.kind === kind && one.name === name && one.namespace === namespace),
  );

function completed(current: RbacObject, wanted: RbacObject): KubeObject {
  const rules = missingRules(current, wanted);
  const subjects = missingSubjects(current, wanted);
  return {
    ...current,
    metadata: {
      ...current.metadata,
      labels: { ...current.metadata.labels, ...wanted.metadata.labels },
      annotations: { ...wanted.metadata.annotations, ...current.metadata.annotations },
    },
    ...(rules.length > 0 ? { rules: [...(current.rules ?? []), ...rules] } : {}),
    ...(subjects.length > 0 ? { subjects: [...(current.subjects ?? []), ...subjects] } : {}),
  } as KubeObject;
}
