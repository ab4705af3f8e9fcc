import { StatusError } from '../../api/status.ts';
import { nodeMay, type PodView } from './nodes.ts';
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
  /** That of a list or a watch, as it was written; '' where there is none. */
  fieldSelector: string;
}

export interface Verdict {
  allowed: boolean;
  /** Why not, to be read by the caller. */
  reason?: string;
}

/** The Authorizer port. RBAC will be one more implementation. */
export interface Authorizer {
  judge: (user: User, attributes: Attributes) => Verdict;
}

const openPaths = new Set(['/healthz', '/livez', '/readyz', '/version']);
const discoveryPaths = /^\/(api|apis|openapi|version|healthz|livez|readyz)(\/|$)/;

/** Until RBAC: administrators, nodes, everybody's health checks; authenticated users may look around and ask about themselves. */
export const builtinAuthorizer = (view: PodView): Authorizer => ({
  judge: (user, attributes) => {
    if (user.groups.includes('system:masters')) return yes;
    if (attributes.path !== '') {
      const mayLook =
        user.groups.includes('system:authenticated') &&
        attributes.verb === 'get' &&
        discoveryPaths.test(attributes.path);
      return mayLook || isOpen(attributes.path) ? yes : no;
    }
    if (user.groups.includes('system:authenticated') && isSelfReview(attributes)) return yes;
    return user.groups.includes('system:nodes') ? nodeMay(user, attributes, view) : no;
  },
});

const yes: Verdict = { allowed: true };
const no: Verdict = { allowed: false };

const isOpen = (path: string): boolean => openPaths.has(path) || /^\/(healthz|livez|readyz)\/[^/]+$/.test(path);

const isSelfReview = ({ verb, resource, group }: Attributes): boolean =>
  verb === 'create' &&
  ((group === 'authorization.k8s.io' && ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'].includes(resource)) ||
    (group === 'authentication.k8s.io' && resource === 'selfsubjectreviews'));

/** The 403 of somebody who may not. */
export function denied(user: User, a: Attributes, reason?: string): StatusError {
  const why = reason ? `: ${reason}` : '';
  const who = `User "${user.name}"`;
  if (a.path !== '')
    return new StatusError(403, 'Forbidden', `forbidden: ${who} cannot ${a.verb} path "${a.path}"${why}`, {});
  const resource = a.subresource ? `${a.resource}/${a.subresource}` : a.resource;
  const scope = a.namespace ? ` in the namespace "${a.namespace}"` : ' at the cluster scope';
  const subject = a.group ? `${a.resource}.${a.group}` : a.resource;
  return new StatusError(
    403,
    'Forbidden',
    `${subject}${a.name ? ` "${a.name}"` : ''} is forbidden: ${who} cannot ${a.verb} resource "${resource}" in API group "${a.group}"${scope}${why}`,
    { ...(a.name ? { name: a.name } : {}), ...(a.group ? { group: a.group } : {}), kind: a.resource },
  );
}
