import type { PolicyRule } from '../../../api/rbac.ts';

/** Words that stand for several verbs. */
const verbWords: Record<string, string[]> = {
  read: ['get', 'list', 'watch'],
  write: ['create', 'delete', 'deletecollection', 'patch', 'update'],
};

const events = 'create patch update : events events.events.k8s.io';

/**
 * Roles from a text of lines, so that a policy can be read at a glance:
 *
 *   name-of-role
 *     read create : pods deployments.apps/scale      resource.group/subresource; no group is the core group
 *     get : configmaps @ one two                     only those names
 *     get : /healthz                                 paths that are no resources; /* is every one
 *     events                                         may record events
 */
export function parsePolicy(text: string): Map<string, PolicyRule[]> {
  const roles = new Map<string, PolicyRule[]>();
  let rules: PolicyRule[] = [];
  for (const line of text.split('\n').filter((one) => one.trim() !== '')) {
    if (line.startsWith(' ')) rules.push(...rulesOf(line.trim() === 'events' ? events : line.trim()));
    else roles.set(line.trim(), (rules = []));
  }
  return roles;
}

function rulesOf(line: string): PolicyRule[] {
  const [left = '', right = ''] = line.split(' : ');
  const [what = '', names] = right.split(' @ ');
  const verbs = left.split(' ').flatMap((word) => verbWords[word] ?? [word]);
  const things = what.split(' ');
  if (things[0]!.startsWith('/'))
    return [{ verbs, nonResourceURLs: things.map((path) => (path === '/*' ? '*' : path)) }];
  const groups = new Map<string, string[]>();
  for (const thing of things) {
    const [full = '', subresource] = thing.split('/');
    const dot = full.indexOf('.');
    const [resource, group] = dot < 0 ? [full, ''] : [full.slice(0, dot), full.slice(dot + 1)];
    groups.set(group, [...(groups.get(group) ?? []), subresource ? `${resource}/${subresource}` : resource]);
  }
  return [...groups].map(([group, resources]) => ({
    verbs,
    apiGroups: [group],
    resources,
    ...(names ? { resourceNames: names.split(' ') } : {}),
  }));
}
