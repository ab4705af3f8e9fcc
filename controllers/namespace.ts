import { storedKinds } from '../api/kinds/index.ts';
import { type Kind, resourcePath } from '../api/kind.ts';
import { CustomResourceDefinition } from '../api/kinds/custom-resource-definition.ts';
import { Namespace } from '../api/kinds/namespace.ts';
import { type Condition, type KubeList, type KubeObject, type Stored, timestamp } from '../api/meta.ts';
import { isNotFound } from '../api/status.ts';
import type { Client } from '../client/client.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { customKind } from './common/custom-kinds.ts';

type StoredNamespace = Namespace & Stored;

/** Milliseconds between two looks at a namespace that does not get empty yet: pods take their grace period. */
const lookAgain = 500;

/** What is left of one kind in a namespace that is being deleted. */
interface Left {
  kind: Kind;
  count: number;
  finalizers: string[];
}

/** Empties a namespace that is being deleted, then lets it go. */
export function namespaces({ client, informer, now }: World): Reconciler {
  const all = informer(Namespace);
  const definitions = informer(CustomResourceDefinition);
  const customKinds = () =>
    [...definitions.list()].flatMap((one) => customKind(one) ?? []).filter((kind) => kind.namespaced);
  // Pods first: they take longest, and what others would make anew for them is refused by the apiserver already.
  const kinds = storedKinds
    .filter(({ namespaced }) => namespaced)
    .sort((a, b) => Number(b.kind === 'Pod') - Number(a.kind === 'Pod'));
  return {
    name: 'namespace',
    watches: [watching(all)],
    async reconcile(key, signal) {
      const namespace = all.get(key);
      if (!namespace?.metadata.deletionTimestamp || !namespace.spec?.finalizers?.includes('kubernetes')) return;
      const left = (
        await Promise.all([...kinds, ...customKinds()].map((kind) => empty(client, kind, key, signal)))
      ).filter(({ count }) => count > 0);
      if (left.length === 0) return finalize(client, namespace, signal);
      await tell(client, namespace, left, now(), signal);
      return { again: lookAgain };
    },
  };
}

async function empty(client: Client, kind: Kind, namespace: string, signal: AbortSignal): Promise<Left> {
  const list = await client.list(kind, { namespace, limit: 100 }, signal).catch((error: unknown) => {
    // A custom kind may have gone a moment ago, and its objects with it.
    if (!isNotFound(error)) throw error;
    return { items: [], metadata: {} } as Pick<KubeList<KubeObject>, 'items' | 'metadata'>;
  });
  const count = list.items.length + (list.metadata.remainingItemCount ?? 0);
  if (list.items.some(({ metadata }) => !metadata.deletionTimestamp))
    await client.raw('DELETE', resourcePath(kind, namespace), { propagationPolicy: 'Background' }, signal);
  return { kind, count, finalizers: list.items.flatMap(({ metadata }) => metadata.finalizers ?? []) };
}

async function finalize(client: Client, namespace: StoredNamespace, signal: AbortSignal): Promise<void> {
  const finalizers = namespace.spec?.finalizers?.filter((name) => name !== 'kubernetes') ?? [];
  try {
    await client.update(
      Namespace,
      { ...namespace, apiVersion: 'v1', kind: 'Namespace', spec: { finalizers } },
      { subresource: 'finalize' },
      signal,
    );
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

async function tell(
  client: Client,
  namespace: StoredNamespace,
  left: readonly Left[],
  now: number,
  signal: AbortSignal,
): Promise<void> {
  const kinds = left.map(
    ({ kind: { plural, group, version }, count }) =>
      `${plural}.${group ? `${group}/` : ''}${version} has ${count} resource instances`,
  );
  const finalizers = new Map<string, number>();
  for (const name of left.flatMap((one) => one.finalizers)) finalizers.set(name, (finalizers.get(name) ?? 0) + 1);
  const held = [...finalizers].map(([name, count]) => `${name} in ${count} resource instances`);
  const conditions: Condition[] = [
    {
      type: 'NamespaceContentRemaining',
      status: 'True',
      reason: 'SomeResourcesRemain',
      message: `Some resources are remaining: ${kinds.join(', ')}`,
    },
    held.length > 0
      ? {
          type: 'NamespaceFinalizersRemaining',
          status: 'True',
          reason: 'SomeFinalizersRemain',
          message: `Some content in the namespace has finalizers remaining: ${held.join(', ')}`,
        }
      : {
          type: 'NamespaceFinalizersRemaining',
          status: 'False',
          reason: 'ContentHasNoFinalizers',
          message: 'All content-preserving finalizers finished',
        },
  ];
  const before = namespace.status?.conditions ?? [];
  const news = conditions.some(({ type, message }) => before.find((known) => known.type === type)?.message !== message);
  if (!news) return;
  const dated = conditions.map((condition) => ({ ...condition, lastTransitionTime: timestamp(now) }));
  await client.patch(
    Namespace,
    namespace.metadata,
    { status: { conditions: dated } },
    { subresource: 'status' },
    signal,
  );
}
