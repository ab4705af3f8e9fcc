import { StatusError } from '../../api/status.ts';
import type { User } from './user.ts';

/** What somebody wants to do: one of the two forms. */
export interface Attributes {
  verb: string;
  /** '' when `path` is asked for. */
  resource: string;
  group: string;
  version: string;
  subresource: string;
  namespace: string;
  name: string;
  /** A URL path that is no resource. */
  path: string;
}

/** The Authorizer port. RBAC will be one more implementation. */
export interface Authorizer {
  allows: (user: User, attributes: Attributes) => boolean;
}

const openPaths = new Set(['/healthz', '/livez', '/readyz', '/version']);
const discoveryPaths = /^\/(api|apis|openapi|version|healthz|livez|readyz)(\/|$)/;

/** Until RBAC: administrators, nodes, everybody's health checks; authenticated users may look around and ask about themselves. */
export const builtinAuthorizer: Authorizer = {
  allows: (user, attributes) => {
    if (user.groups.includes('system:masters')) return true;
    if (attributes.path !== '') {
      if (isOpen(attributes.path)) return true;
      return (
        user.groups.includes('system:authenticated') &&
        attributes.verb === 'get' &&
        discoveryPaths.test(attributes.path)
      );
    }
    if (user.groups.includes('system:authenticated') && isSelfReview(attributes)) return true;
    return user.groups.includes('system:nodes') && nodeMay(user, attributes);
  },
};

const isOpen = (path: string): boolean => openPaths.has(path) || /^\/(healthz|livez|readyz)\/[^/]+$/.test(path);

const isSelfReview = ({ verb, resource, group }: Attributes): boolean =>
  verb === 'create' &&
  ((group === 'authorization.k8s.io' && ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'].includes(resource)) ||
    (group === 'authentication.k8s.io' && resource === 'selfsubjectreviews'));

const reads = new Set(['get', 'list', 'watch']);
const readable = new Set([
  'pods',
  'services',
  'configmaps',
  'secrets',
  'nodes',
  'endpoints',
  'namespaces',
  'serviceaccounts',
]);

/** What a kubelet needs. `system:node:<name>` acts on that node only; the executors' bootstrap user on any, for now. */
function nodeMay(user: User, { verb, group, resource, subresource, name }: Attributes): boolean {
  const own = user.name.startsWith('system:node:') ? user.name.slice('system:node:'.length) : undefined;
  const isOwn = own === undefined || name === own;
  switch (`${group}/${resource}`) {
    case '/nodes':
      if (reads.has(verb) && subresource === '') return true;
      if (verb === 'create' && subresource === '') return true;
      return ['update', 'patch'].includes(verb) && ['', 'status'].includes(subresource) && isOwn;
    case '/pods':
      if (reads.has(verb) && subresource === '') return true;
      if (['update', 'patch'].includes(verb)) return subresource === 'status';
      return verb === 'delete' && subresource === '';
    case '/events':
    case 'events.k8s.io/events':
      return ['create', 'update', 'patch'].includes(verb);
    case 'coordination.k8s.io/leases':
      return verb === 'create' || (['get', 'update', 'patch', 'delete'].includes(verb) && isOwn);
    default:
      return group === '' && subresource === '' && readable.has(resource) && reads.has(verb);
  }
}

/** The 403 of somebody who may not. */
export function denied(user: User, a: Attributes): StatusError {
  const who = `User "${user.name}"`;
  if (a.path !== '')
    return new StatusError(403, 'Forbidden', `forbidden: ${who} cannot ${a.verb} path "${a.path}"`, {});
  const resource = a.subresource ? `${a.resource}/${a.subresource}` : a.resource;
  const scope = a.namespace ? ` in the namespace "${a.namespace}"` : ' at the cluster scope';
  const subject = a.group ? `${a.resource}.${a.group}` : a.resource;
  return new StatusError(
    403,
    'Forbidden',
    `${subject}${a.name ? ` "${a.name}"` : ''} is forbidden: ${who} cannot ${a.verb} resource "${resource}" in API group "${a.group}"${scope}`,
    { ...(a.name ? { name: a.name } : {}), ...(a.group ? { group: a.group } : {}), kind: a.resource },
  );
}
