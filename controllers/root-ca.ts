import { ConfigMap } from '../api/kinds/config-map.ts';
import { Namespace } from '../api/kinds/namespace.ts';
import { isAlreadyExists } from '../api/status.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';

const name = 'kube-root-ca.crt';

/** Every namespace has the CA by which its pods know the apiserver, beside their tokens. */
export const rootCa =
  (ca: string) =>
  ({ client, informer }: World): Reconciler => {
    const namespaces = informer(Namespace);
    const maps = informer(ConfigMap);
    return {
      name: 'root-ca',
      watches: [
        watching(namespaces),
        watching(maps, ({ object: { metadata } }) => (metadata.name === name ? [metadata.namespace!] : [])),
      ],
      async reconcile(namespace, signal) {
        const found = namespaces.get(namespace);
        if (!found || found.metadata.deletionTimestamp) return;
        const current = maps.get(`${namespace}/${name}`);
        if (current?.data?.['ca.crt'] === ca) return;
        const metadata = { name, namespace };
        try {
          if (current) await client.patch(ConfigMap, metadata, { data: { 'ca.crt': ca } }, {}, signal);
          else await client.create(ConfigMap, { metadata, data: { 'ca.crt': ca } }, {}, signal);
        } catch (error) {
          if (!isAlreadyExists(error)) throw error;
        }
      },
    };
  };
