import { Namespace } from '../../api/kinds/namespace.ts';
import { forbidden, notFound } from '../../api/status.ts';
import { prefixOf, Entry } from '../encoding.ts';
import type { Feed } from '../feed.ts';
import type { Store } from '../store.ts';
import type { AdmissionRule } from './order.ts';

/** Nothing is created in a namespace that is missing or being deleted; the system's own cannot be deleted. */
export const namespaceLifecycle = (feed: Feed, store: Store): AdmissionRule => ({
  name: 'NamespaceLifecycle',
  mutate: async ({ operation, kind, object }) => {
    if (operation !== 'create' || !kind.namespaced) return;
    const name = object.metadata.namespace!;
    const found = feed.cache(Namespace).get(name) ?? (await newest(store, name));
    if (!found) throw notFound(Namespace, name);
    if (!found.object.metadata.deletionTimestamp) return;
    const error = forbidden(
      kind,
      object.metadata.name ?? '',
      `unable to create new content in namespace ${name} because it is being terminated`,
    );
    error.status.details!.causes = [
      { reason: 'NamespaceTerminating', message: `namespace ${name} is being terminated`, field: 'metadata.namespace' },
    ];
    throw error;
  },
});

async function newest(store: Store, name: string): Promise<Entry | undefined> {
  const prefix = prefixOf(Namespace);
  const { item } = await store.get(prefix + name);
  return item && Entry.of(item, prefix);
}

export const immortalNamespaces: ReadonlySet<string> = new Set(['default', 'kube-system', 'kube-public']);
