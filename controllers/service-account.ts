import { Namespace } from '../api/kinds/namespace.ts';
import { ServiceAccount } from '../api/kinds/service-account.ts';
import { isAlreadyExists } from '../api/status.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';

/** Every namespace has a ServiceAccount `default`, which pods use that name none. */
export function serviceAccounts({ client, informer }: World): Reconciler {
  const namespaces = informer(Namespace);
  const accounts = informer(ServiceAccount);
  return {
    name: 'service-account',
    watches: [
      watching(namespaces),
      watching(accounts, ({ type, object }) =>
        type === 'deleted' && object.metadata.name === 'default' ? [object.metadata.namespace!] : [],
      ),
    ],
    async reconcile(name, signal) {
      const namespace = namespaces.get(name);
      if (!namespace || namespace.metadata.deletionTimestamp || accounts.get(`${name}/default`)) return;
      try {
        await client.create(ServiceAccount, { metadata: { name: 'default', namespace: name } }, {}, signal);
      } catch (error) {
        if (!isAlreadyExists(error)) throw error;
      }
    },
  };
}
