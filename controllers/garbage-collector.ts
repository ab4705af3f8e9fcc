import type { Kind } from '../api/kind.ts';
import { storedKinds } from '../api/kinds/index.ts';
import { type KubeObject, type OwnerReference, type Stored, keyOf } from '../api/meta.ts';
import { unlessNotFound } from '../api/status.ts';
import type { Client } from '../client/client.ts';
import { type Change, Informer } from '../client/informer.ts';
import { CustomResourceDefinition } from '../api/kinds/custom-resource-definition.ts';
import { customKind } from './common/custom-kinds.ts';
import { type Reconciler, type Watch, type World, watching } from '../client/reconcile.ts';

type Any = KubeObject & Stored;

const foreground = 'foregroundDeletion';
const orphan = 'orphan';

/** Kinds that own nothing and are owned by nothing: not worth a watch. */
const skipped = new Set(['Event']);

/**
 * Deletes what is left without an owner.
 *
 *   owner deleted ─▶ its dependents are looked at ─▶ no owner left: deleted in the background
 *   owner has foregroundDeletion ─▶ dependents that block it first, then the finalizer
 *   owner has orphan ─▶ its dependents forget it, then the finalizer
 *
 * An owner in another namespace counts as absent. That of a cluster-wide object cannot be in a namespace at all: where one is
 * named the object is left alone, with a warning.
 */
export function garbageCollector({ client, informer, log, events }: World): Reconciler {
  const kinds = storedKinds.filter(({ kind }) => !skipped.has(kind));
  const owners = { 'owner-uid': (object: Any) => (object.metadata.ownerReferences ?? []).map(({ uid }) => uid) };
  const byName = new Map(kinds.map((kind) => [idOf(kind), { kind, objects: informer(kind, { indexes: owners }) }]));
  const definitions = informer(CustomResourceDefinition);
  /** Custom kinds come and go while we work; so do the caches of their objects. */
  const custom = new Map<string, { kind: Kind; stop: AbortController }>();
  let addKey: (key: string) => void = () => undefined;
  const dependentsOf = (uid: string) =>
    [...byName.values()].flatMap(({ kind, objects }) =>
      objects.by('owner-uid', uid).map((object) => ({ kind, object })),
    );

  const keys =
    (kind: Kind) =>
    (change: Change<Any>): string[] => {
      const { object, type } = change;
      if (type === 'deleted')
        return dependentsOf(object.metadata.uid).map((dependent) => keyFor(dependent.kind, dependent.object));
      return needsLook(change) ? [keyFor(kind, object)] : [];
    };

  /** Owners that may go on: a dependent of theirs has gone, or blocks them no longer. */
  const blockedOwners = (change: Change<Any>): string[] =>
    change.type === 'added' || (change.type === 'updated' && !ownersDiffer(change.object, change.old))
      ? []
      : ((change.type === 'updated' ? change.old : change.object).metadata.ownerReferences ?? []).flatMap((owner) => {
          const kind = kindOf(owner, byName);
          const key =
            kind &&
            keyFor(kind, {
              metadata: {
                namespace: kind.namespaced ? (change.object.metadata.namespace ?? '') : '',
                name: owner.name,
              },
            });
          return key ? [key] : [];
        });

  const watches: Watch[] = [...byName.values()].flatMap(({ kind, objects }) => [
    watching(objects, keys(kind)),
    watching(objects, blockedOwners),
  ]);

  const followDefinition = async (name: string, signal: AbortSignal): Promise<void> => {
    const definition = definitions.get(name);
    const kind = definition && customKind(definition);
    const known = custom.get(name);
    if (known && kind?.version === known.kind.version) return;
    if (known) {
      known.stop.abort(new Error(`${name} is served no longer`));
      custom.delete(name);
      byName.delete(idOf(known.kind));
    }
    if (!kind) return;
    const stop = new AbortController();
    const objects = new Informer(client, kind, { indexes: owners }, log);
    custom.set(name, { kind, stop });
    byName.set(idOf(kind), { kind, objects });
    for (const watch of [watching(objects, keys(kind)), watching(objects, blockedOwners)]) watch.subscribe(addKey);
    objects
      .start(AbortSignal.any([signal, stop.signal]))
      .catch((err: unknown) => log.debug({ err, kind: kind.kind }, 'stopped following a custom kind'));
  };

  return {
    name: 'garbage-collector',
    concurrency: 20,
    watches: [
      ...watches,
      { subscribe: (add) => void (addKey = add) },
      watching(definitions, ({ object }) => [`${definitionKey}${object.metadata.name}`]),
    ],
    async reconcile(key, signal) {
      if (key.startsWith(definitionKey)) return followDefinition(key.slice(definitionKey.length), signal);
      const at = key.indexOf('|');
      const found = byName.get(key.slice(0, at));
      const object = found?.objects.get(key.slice(at + 1));
      if (!found || !object) return;
      const { finalizers = [], deletionTimestamp } = object.metadata;
      if (deletionTimestamp && finalizers.includes(orphan)) return orphanDependents(found.kind, object, signal);
      if (deletionTimestamp && finalizers.includes(foreground)) return deleteDependents(found.kind, object, signal);
      if (!deletionTimestamp && object.metadata.ownerReferences?.length) return collect(found.kind, object, signal);
    },
  };

  /** Deletes the object if none of its owners stays; forgets those that do not otherwise. */
  async function collect(kind: Kind, object: Any, signal: AbortSignal): Promise<void> {
    const refs = object.metadata.ownerReferences ?? [];
    for (const owner of kind.namespaced ? [] : refs) if (kindOf(owner, byName)?.namespaced) warnOf(kind, object, owner);
    const states = await Promise.all(refs.map((owner) => ownerState(client, kind, object, owner, byName, signal)));
    const solid = refs.filter((_, i) => states[i] === 'solid');
    if (solid.length === refs.length) return;
    if (solid.length > 0) return patchOwners(kind, object, solid, signal);
    const waiting = states.includes('waiting');
    log.debug({ kind: kind.kind, object: keyOf(object) }, 'deleting an object whose owners are gone');
    const dependents = dependentsOf(object.metadata.uid);
    const blocks = waiting && dependents.length > 0;
    // A circle: it waits for one that waits for it. Whoever closes the circle blocks nobody.
    if (blocks && dependents.some((dependent) => isWaiting(dependent.object)) && refs.some((o) => o.blockOwnerDeletion))
      return patchOwners(
        kind,
        object,
        refs.map((owner) => ({ ...owner, blockOwnerDeletion: false })),
        signal,
      );
    await deleted(
      client.delete(
        kind,
        object.metadata,
        { propagationPolicy: blocks ? 'Foreground' : 'Background', preconditions: { uid: object.metadata.uid } },
        signal,
      ),
    );
  }

  function warnOf({ apiVersion, kind }: Kind, { metadata: { name, uid } }: Any, owner: OwnerReference): void {
    const named = `ownerRef [${owner.apiVersion}/${owner.kind}, name: ${owner.name}, uid: ${owner.uid}]`;
    const message = `${named} is of a kind in namespaces: it cannot own a cluster-wide object`;
    events.record({ apiVersion, kind, name, uid }, 'Warning', 'OwnerRefInvalidNamespace', message);
  }

  async function deleteDependents(kind: Kind, owner: Any, signal: AbortSignal): Promise<{ again: number } | void> {
    // Whoever it cannot own does not hold it up.
    const dependents = dependentsOf(owner.metadata.uid).filter(
      ({ object }) => !kind.namespaced || object.metadata.namespace === owner.metadata.namespace,
    );
    const blocking = dependents.filter(({ object }) =>
      object.metadata.ownerReferences?.some(
        ({ uid, blockOwnerDeletion }) => uid === owner.metadata.uid && blockOwnerDeletion,
      ),
    );
    const alive = dependents.filter(({ object }) => !object.metadata.deletionTimestamp);
    await Promise.all(alive.map((dependent) => collect(dependent.kind, dependent.object, signal)));
    if (blocking.length === 0) return removeFinalizer(kind, owner, foreground, signal);
  }

  async function orphanDependents(kind: Kind, owner: Any, signal: AbortSignal): Promise<void> {
    await Promise.all(
      dependentsOf(owner.metadata.uid).map((dependent) => {
        const kept = (dependent.object.metadata.ownerReferences ?? []).filter(({ uid }) => uid !== owner.metadata.uid);
        return patchOwners(dependent.kind, dependent.object, kept, signal);
      }),
    );
    await removeFinalizer(kind, owner, orphan, signal);
  }

  async function patchOwners(
    kind: Kind,
    object: Any,
    ownerReferences: OwnerReference[],
    signal: AbortSignal,
  ): Promise<void> {
    const { uid, resourceVersion } = object.metadata;
    await deleted(
      client.patch(kind, object.metadata, { metadata: { uid, resourceVersion, ownerReferences } }, {}, signal),
    );
  }

  async function removeFinalizer(kind: Kind, object: Any, finalizer: string, signal: AbortSignal): Promise<void> {
    const { uid, resourceVersion, finalizers = [] } = object.metadata;
    const patch = { metadata: { uid, resourceVersion, finalizers: finalizers.filter((name) => name !== finalizer) } };
    await deleted(client.patch(kind, object.metadata, patch, {}, signal));
  }
}

const isWaiting = ({ metadata }: KubeObject): boolean =>
  metadata.deletionTimestamp !== undefined && (metadata.finalizers?.includes(foreground) ?? false);

const ownersDiffer = (a: Any, b: Any): boolean =>
  JSON.stringify(a.metadata.ownerReferences) !== JSON.stringify(b.metadata.ownerReferences);

/** New, with other owners than before, or now waiting for its dependents. */
function needsLook(change: Change<Any>): boolean {
  const { ownerReferences = [], deletionTimestamp, finalizers = [] } = change.object.metadata;
  if (deletionTimestamp) return finalizers.includes(foreground) || finalizers.includes(orphan);
  if (ownerReferences.length === 0) return false;
  return change.type === 'added' || (change.type === 'updated' && ownersDiffer(change.object, change.old));
}

/** Before the name of a definition, a key means: follow its kind, or no longer. */
const definitionKey = 'definition of ';

const idOf = ({ group, kind }: Pick<Kind, 'group' | 'kind'>): string => `${kind}.${group}`;
const keyFor = (kind: Kind, object: { metadata: KubeObject['metadata'] }): string => `${idOf(kind)}|${keyOf(object)}`;

type Known = ReadonlyMap<string, { kind: Kind; objects: Informer<KubeObject> }>;

function kindOf({ apiVersion, kind }: OwnerReference, known: Known): Kind | undefined {
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
  return known.get(idOf({ group, kind }))?.kind;
}

/**
 * `solid`: there and staying; `waiting`: being deleted in the foreground, so its dependents go first; `absent`. The cache
 * answers for an owner it has; that one is gone is believed only when the apiserver says so.
 */
async function ownerState(
  client: Client,
  kind: Kind,
  object: Any,
  owner: OwnerReference,
  known: Known,
  signal: AbortSignal,
): Promise<'solid' | 'waiting' | 'absent'> {
  const ownerKind = kindOf(owner, known);
  // An owner of a kind we do not know may exist, one of a cluster-wide object in no namespace we could tell: leave the object alone.
  if (!ownerKind || (ownerKind.namespaced && !kind.namespaced)) return 'solid';
  const ref = { namespace: ownerKind.namespaced ? object.metadata.namespace : undefined, name: owner.name };
  const cached = known
    .get(idOf(ownerKind))!
    .objects.get(keyOf({ metadata: { namespace: ref.namespace ?? '', name: owner.name } }));
  const found =
    cached?.metadata.uid === owner.uid ? cached : await client.get(ownerKind, ref, signal).catch(unlessNotFound);
  if (found?.metadata.uid !== owner.uid) return 'absent';
  return isWaiting(found) ? 'waiting' : 'solid';
}

/** Already gone is as good. */
async function deleted(action: Promise<unknown>): Promise<void> {
  await action.catch(unlessNotFound);
}
