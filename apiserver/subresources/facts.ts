import type { Kind, Subresource } from '../../api/kind.ts';

const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

/** What may be asked of a kind's objects. */
export const verbsOf = (kind: Kind): readonly string[] => kind.verbs ?? (kind.question ? ['create'] : verbs);

/** What discovery and OpenAPI say of a subresource: what may be asked of it, and in which kind it speaks if not its object's. */
export interface SubresourceFacts {
  verbs: string[];
  kind?: string;
  group?: string;
  version?: string;
}

/** The kind in which a subresource speaks, as far as it is not its object's own. */
export function spokenIn(
  kind: Kind,
  subresource: Subresource,
): Partial<Pick<SubresourceFacts, 'kind' | 'group' | 'version'>> {
  const { verbs: _verbs, ...spoken } = subresourceFacts(kind, subresource);
  return spoken;
}

export function subresourceFacts(kind: Kind, subresource: Subresource): SubresourceFacts {
  switch (subresource) {
    case 'status':
    case 'ephemeralcontainers':
    case 'resize':
    case 'approval':
      return { verbs: ['get', 'patch', 'update'] };
    case 'scale':
      return { verbs: ['get', 'patch', 'update'], group: 'autoscaling', version: 'v1', kind: 'Scale' };
    case 'binding':
      return { verbs: ['create'], kind: 'Binding' };
    case 'eviction':
      return { verbs: ['create'], group: 'policy', version: 'v1', kind: 'Eviction' };
    case 'log':
      return { verbs: ['get'] };
    case 'exec':
      return { verbs: ['create', 'get'], kind: 'PodExecOptions' };
    case 'attach':
      return { verbs: ['create', 'get'], kind: 'PodAttachOptions' };
    case 'portforward':
      return { verbs: ['create', 'get'], kind: 'PodPortForwardOptions' };
    case 'proxy':
      return { verbs: ['create', 'delete', 'get', 'patch', 'update'], kind: `${kind.kind}ProxyOptions` };
    case 'finalize':
      return { verbs: ['update'] };
    case 'token':
      return { verbs: ['create'], group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' };
  }
}
