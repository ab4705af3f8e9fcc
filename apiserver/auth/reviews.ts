import type { KubeObject } from '../../api/meta.ts';
import { decodeBody } from '../body.ts';
import type { Answer } from '../call.ts';
import type { Authorizer } from './authorize.ts';
import type { User } from './user.ts';

interface AccessReview extends KubeObject {
  spec?: {
    resourceAttributes?: Partial<
      Record<'namespace' | 'verb' | 'group' | 'version' | 'resource' | 'subresource' | 'name', string>
    >;
    nonResourceAttributes?: { path?: string; verb?: string };
  };
}

/** `kubectl auth can-i`: may I? */
export function selfAccessReview(contentType: string, body: Buffer, user: User, authorizer: Authorizer): Answer {
  const type = {
    group: 'authorization.k8s.io',
    version: 'v1',
    kind: 'SelfSubjectAccessReview',
    definition: 'io.k8s.api.authorization.v1.SelfSubjectAccessReview',
  };
  const { object } = decodeBody<AccessReview>(contentType, body, type);
  const { resourceAttributes: r, nonResourceAttributes: path } = object.spec ?? {};
  const { allowed, reason } = authorizer.judge(user, {
    verb: r?.verb ?? path?.verb ?? '',
    resource: r?.resource ?? '',
    group: r?.group ?? '',
    version: r?.version ?? '',
    subresource: r?.subresource ?? '',
    namespace: r?.namespace ?? '',
    name: r?.name ?? '',
    path: path?.path ?? '',
    fieldSelector: '',
  });
  return {
    code: 201,
    value: { ...object, metadata: { creationTimestamp: null }, status: { allowed, ...(reason ? { reason } : {}) } },
  };
}

/** `kubectl auth whoami`: who am I? */
export const selfReview = (user: User): Answer => ({
  code: 201,
  value: {
    kind: 'SelfSubjectReview',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: { creationTimestamp: new Date().toISOString().replace(/\.\d+Z$/, 'Z') },
    status: {
      userInfo: {
        username: user.name,
        ...(user.uid ? { uid: user.uid } : {}),
        groups: user.groups,
        ...(user.extra ? { extra: user.extra } : {}),
      },
    },
  },
});
