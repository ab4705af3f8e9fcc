import type { Kind } from '../api/kind.ts';
import { storedKinds } from '../api/kinds/index.ts';
import { isTerminal, type Pod } from '../api/kinds/pod.ts';
import { ResourceQuota } from '../api/kinds/resource-quota.ts';
import { keyOf, type KubeObject, type Stored } from '../api/meta.ts';
import { sum, type Quantities } from '../api/pod-resources.ts';
import { inScope, usageOf } from '../api/quota.ts';
import { isNotFound } from '../api/status.ts';
import type { Change } from '../client/informer.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { equal } from '../lib/equal.ts';

type Any = KubeObject & Stored;

/** Even if nothing seems to have changed, everything is counted again after so long. */
const againMs = 5 * 60_000;

/**
 * Counts what the objects of a namespace use of its quotas. The apiserver adds what is made before it makes it; what goes,
 * or ends, or was added and then not made, is found here.
 */
export function resourceQuotas({ client, informer }: World): Reconciler {
  const quotas = informer(ResourceQuota, { indexes: { namespace: (quota) => [quota.metadata.namespace ?? ''] } });
  const counted = storedKinds
    .filter(({ namespaced, plural }) => namespaced && plural !== 'events')
    .map((kind) => ({ kind, objects: informer(kind, { indexes: { namespace: namespaceOf } }) }));
  const quotasOf =
    (kind: Kind) =>
    (change: Change<Any>): string[] =>
      mayChangeUse(kind, change) ? quotas.by('namespace', change.object.metadata.namespace ?? '').map(keyOf) : [];
  return {
    name: 'resource-quota',
    watches: [watching(quotas, changedQuota), ...counted.map(({ kind, objects }) => watching(objects, quotasOf(kind)))],
    async reconcile(key, signal) {
      const quota = quotas.get(key);
      if (!quota || quota.metadata.deletionTimestamp) return;
      const namespace = quota.metadata.namespace!;
      const things = counted.flatMap(({ kind, objects }) =>
        objects.by('namespace', namespace).map((object) => ({ kind, object })),
      );
      const hard = quota.spec?.hard ?? {};
      const status = { hard, used: usedOf(quota, things) };
      if (!equal(status, { hard: quota.status?.hard, used: quota.status?.used })) {
        try {
          // With the resourceVersion: what the apiserver added meanwhile must not be lost.
          await client.update(ResourceQuota, { ...quota, status }, { subresource: 'status' }, signal);
        } catch (error) {
          if (!isNotFound(error)) throw error;
        }
      }
      return { again: againMs };
    },
  };
}

const namespaceOf = (object: KubeObject): string[] => [object.metadata.namespace ?? ''];

/**
 * A change of the status alone is no reason to count: it tells of an object that the apiserver has made room for, and
 * that we may not have seen yet.
 */
const changedQuota = (change: Change<ResourceQuota & Stored>): string[] =>
  change.type === 'updated' && equal(change.object.spec, change.old.spec) ? [] : [keyOf(change.object)];

/** Less is used when something goes or a pod ends; what comes was counted before it came. */
function mayChangeUse({ group, plural }: Kind, change: Change<Any>): boolean {
  if (change.type !== 'updated') return change.type === 'deleted';
  if (group !== '') return false;
  if (plural === 'pods')
    return isTerminal(change.object as unknown as Pod) !== isTerminal(change.old as unknown as Pod);
  return plural === 'services' || plural === 'persistentvolumeclaims';
}

/** For every name in `spec.hard` the sum over the objects in scope. */
export function usedOf(
  quota: Readonly<ResourceQuota>,
  things: readonly { kind: Kind; object: Readonly<KubeObject> }[],
): Quantities {
  const names = Object.keys(quota.spec?.hard ?? {});
  let used: Quantities = Object.fromEntries(names.map((name) => [name, '0']));
  for (const { kind, object } of things) {
    if (!inScope(quota, kind, object)) continue;
    const usage = usageOf(kind, object);
    used = sum(
      used,
      Object.fromEntries(names.flatMap((name) => (usage[name] === undefined ? [] : [[name, usage[name]]]))),
    );
  }
  return used;
}
