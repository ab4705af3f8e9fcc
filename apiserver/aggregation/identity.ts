import type { User } from '../auth/user.ts';

/** Who asks, as servers behind the aggregator are told. https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/ */
export function identityHeaders({ name, groups, uid, extra = {} }: User): Record<string, string | string[]> {
  return {
    'x-remote-user': name,
    'x-remote-group': [...groups],
    ...(uid ? { 'x-remote-uid': uid } : {}),
    ...Object.fromEntries(
      Object.entries(extra).map(([key, values]) => [
        `x-remote-extra-${encodeURIComponent(key.toLowerCase())}`,
        [...values],
      ]),
    ),
  };
}
