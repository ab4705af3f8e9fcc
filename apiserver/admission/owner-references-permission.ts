import type { KubeObject, OwnerReference } from '../../api/meta.ts';
import { equal } from '../../lib/equal.ts';
import { attributes, type Authorizer } from '../auth/authorize.ts';
import type { Kind } from '../../api/kind.ts';
import type { AdmissionRule } from './order.ts';
import { refusal, writes } from './requests.ts';

const blocking = ({ metadata }: Readonly<KubeObject>): OwnerReference[] =>
  (metadata.ownerReferences ?? []).filter(({ blockOwnerDeletion }) => blockOwnerDeletion);

/**
 * Who changes the owners of an object could have it deleted, and who makes it block an owner's deletion holds that
 * one up: both need leave.
 */
export const ownerReferencesPermission = (authorizer: Authorizer, kinds: readonly Kind[]): AdmissionRule => ({
  name: 'OwnerReferencesPermissionEnforcement',
  validate: async (request) => {
    const { kind, object, old, options } = request;
    if (!writes(request, kind.plural, kind.group)) return;
    const may = async (verb: string, what: { group: string; resource: string; subresource?: string; name: string }) => {
      const namespace = object.metadata.namespace ?? '';
      return (await authorizer.judge(options.user, attributes({ verb, namespace, version: '*', ...what }))).allowed;
    };
    const name = object.metadata.name ?? '';
    if (old && !equal(object.metadata.ownerReferences ?? [], old.metadata.ownerReferences ?? [])) {
      if (!(await may('delete', { group: kind.group, resource: kind.plural, name })))
        throw refusal(request, `cannot set an ownerRef on a resource you can't delete`);
    }
    const before = old ? blocking(old) : [];
    for (const owner of blocking(object).filter((one) => !before.some(({ uid }) => uid === one.uid))) {
      const group = owner.apiVersion.includes('/') ? owner.apiVersion.split('/')[0]! : '';
      const resource = kinds.find((one) => one.group === group && one.kind === owner.kind)?.plural;
      const what = { group, resource: resource ?? '*', subresource: 'finalizers', name: owner.name };
      if (!resource || !(await may('update', what)))
        throw refusal(
          request,
          `cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on`,
        );
    }
  },
});
