import { storedKinds } from '../api/kinds/index.ts';
import { type Kind, resourcePath } from '../api/kind.ts';
import { CustomResourceDefinition } from '../api/kinds/custom-resource-definition.ts';
import { Namespace } from '../api/kinds/namespace.ts';
import { type Condition, type KubeList, type KubeObject, type Stored, timestamp } from '../api/meta.ts';
import { isNotFound, unlessNotFound } from '../api/status.ts';
import type { Client } from '../client/client.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { customKind } from './common/custom-kinds.ts';

type StoredNamespace = Namespace & Stored;

/** Milliseconds between two looks at a namespace that does not get empty yet: pods take their grace period. */
const lookAgain = 500;

/** What is left of one kind in a namespace that is being deleted. */
interface Left {
  kind: Pick<Kind, 'plural' | 'group'>;
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
      const tries = await Promise.allSettled(
        [...kinds, ...customKinds()].map((kind) => empty(client, kind, key, signal)),
      );
      const left = tries.flatMap((one) => (one.status === 'fulfilled' && one.value.count > 0 ? [one.value] : []));
      const failures = tries.flatMap((one) => (one.status === 'rejected' ? [one.reason as Error] : []));
      if (left.length + failures.length === 0) return finalize(client, namespace, signal);
      await tell(client, namespace, deletionConditions(left, failures), now(), signal);
      if (failures[0]) throw failures[0];
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
  await client
    .update(
      Namespace,
      { ...namespace, apiVersion: 'v1', kind: 'Namespace', spec: { finalizers } },
      { subresource: 'finalize' },
      signal,
    )
    .catch(unlessNotFound);
}

async function tell(
  client: Client,
  namespace: StoredNamespace,
  conditions: readonly Condition[],
  now: number,
  signal: AbortSignal,
): Promise<void> {
  const before = namespace.status?.conditions ?? [];
  const known = ({ type }: Condition) => before.find((one) => one.type === type);
  const news = conditions.some((one) => known(one)?.message !== one.message || known(one)?.status !== one.status);
  if (!news) return;
  const dated = conditions.map((one) => {
    const since = known(one)?.status === one.status ? known(one)?.lastTransitionTime : undefined;
    return { ...one, lastTransitionTime: since ?? timestamp(now) };
  });
  const patch = { status: { conditions: dated } };
  await client.patch(Namespace, namespace.metadata, patch, { subresource: 'status' }, signal);
}

/** What Kubernetes says while a namespace goes, in its words. Exported for its test. */
export function deletionConditions(left: readonly Left[], failures: readonly Error[]): Condition[] {
  const kinds = left.map(({ kind: { plural, group }, count }) => `${plural}.${group} has ${count} resource instances`);
  const finalizers = new Map<string, number>();
  for (const name of left.flatMap((one) => one.finalizers)) finalizers.set(name, (finalizers.get(name) ?? 0) + 1);
  const held = [...finalizers].map(([name, count]) => `${name} in ${count} resource instances`);
  const say = (type: string, bad: [reason: string, words: string] | undefined, reason: string, words: string) => ({
    type,
    status: bad ? ('True' as const) : ('False' as const),
    reason: bad?.[0] ?? reason,
    message: bad?.[1] ?? words,
  });
  const listed = (words: readonly string[]) => [...words].sort().join(', ');
  return [
    say('NamespaceDeletionDiscoveryFailure', undefined, 'ResourcesDiscovered', 'All resources successfully discovered'),
    say(
      'NamespaceDeletionGroupVersionParsingFailure',
      undefined,
      'ParsedGroupVersions',
      'All legacy kube types successfully parsed',
    ),
    say(
      'NamespaceDeletionContentFailure',
      failures.length > 0
        ? [
            'ContentDeletionFailed',
            `Failed to delete all resource types, ${failures.length} remaining: ${listed(failures.map((f) => f.message))}`,
          ]
        : undefined,
      'ContentDeleted',
      'All content successfully deleted, may be waiting on finalization',
    ),
    say(
      'NamespaceContentRemaining',
      kinds.length > 0 ? ['SomeResourcesRemain', `Some resources are remaining: ${listed(kinds)}`] : undefined,
      'ContentRemoved',
      'All content successfully removed',
    ),
    say(
      'NamespaceFinalizersRemaining',
      held.length > 0
        ? ['SomeFinalizersRemain', `Some content in the namespace has finalizers remaining: ${listed(held)}`]
        : undefined,
      'ContentHasNoFinalizers',
      'All content-preserving finalizers finished',
    ),
  ];
}
