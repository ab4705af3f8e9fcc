import type { FlowRule, FlowSchema } from '../../api/kinds/flow-schema.ts';
import type { Attributes } from '../auth/authorize.ts';
import type { User } from '../auth/user.ts';

const has = (list: readonly string[], value: string): boolean => list.includes('*') || list.includes(value);

/** Whether a request is one of a schema's flows. */
export const matches = ({ spec }: FlowSchema, user: User, asked: Attributes): boolean =>
  (spec?.rules ?? []).some(
    (rule) =>
      rule.subjects.some((subject) => isSubject(subject, user)) &&
      (asked.resource === '' ? isPathOf(rule, asked) : isResourceOf(rule, asked)),
  );

function isSubject({ kind, user: named, group, serviceAccount }: FlowRule['subjects'][number], user: User): boolean {
  if (kind === 'User') return named?.name === '*' || named?.name === user.name;
  if (kind === 'Group') return group?.name === '*' || user.groups.includes(group?.name ?? '');
  const { namespace, name } = serviceAccount ?? {};
  if (name !== '*') return user.name === `system:serviceaccount:${namespace}:${name}`;
  return user.name.startsWith(`system:serviceaccount:${namespace}:`);
}

function isResourceOf({ resourceRules = [] }: FlowRule, asked: Attributes): boolean {
  const { verb, group, resource, subresource, namespace } = asked;
  const named = subresource ? `${resource}/${subresource}` : resource;
  // The API tells of a namespace object as if it were inside of itself.
  const isClusterWide = namespace === '' || resource === 'namespaces';
  return resourceRules.some(
    (rule) =>
      has(rule.verbs, verb) &&
      has(rule.apiGroups, group) &&
      has(rule.resources, named) &&
      (isClusterWide
        ? rule.clusterScope === true || rule.namespaces?.includes('*')
        : has(rule.namespaces ?? [], namespace)),
  );
}

const isPathOf = ({ nonResourceRules = [] }: FlowRule, { verb, path }: Attributes): boolean =>
  nonResourceRules.some(
    ({ verbs, nonResourceURLs }) =>
      has(verbs, verb) &&
      nonResourceURLs.some(
        (url) => url === '*' || url === path || (url.endsWith('/*') && path.startsWith(url.slice(0, -1))),
      ),
  );
