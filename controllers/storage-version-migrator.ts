import type { Kind } from '../api/kind.ts';
import { CustomResourceDefinition } from '../api/kinds/custom-resource-definition.ts';
import { storedKinds } from '../api/kinds/index.ts';
import { StorageVersionMigration } from '../api/kinds/storage-version-migration.ts';
import type { KubeObject, Stored } from '../api/meta.ts';
import { StatusError, isConflict, isGone, isNotFound } from '../api/status.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { withCondition } from './common/conditions.ts';
import { customKind } from './common/custom-kinds.ts';

type Migration = StorageVersionMigration & Stored;

/** A definition may be younger than the wish. Milliseconds. */
const patience = 60_000;
/** Patches under way at once. */
const width = 10;

/**
 * Has every object of a resource written anew by a patch that changes nothing: the apiserver writes what lies there in an
 * older version, or encrypted with an older key, and leaves the rest alone.
 * https://kubernetes.io/docs/tasks/manage-kubernetes-objects/storage-version-migration/
 */
export function storageVersionMigrator({ client, informer, now }: World): Reconciler {
  const migrations = informer(StorageVersionMigration);
  const definitions = informer(CustomResourceDefinition);

  const kindOf = ({ spec: { resource } }: Migration): Kind | undefined => {
    const group = resource.group ?? '';
    const builtin = storedKinds.find((kind) => kind.group === group && kind.plural === resource.resource);
    const definition = definitions.get(`${resource.resource}.${group}`);
    return builtin ?? (definition && customKind(definition));
  };

  return {
    name: 'storage-version-migrator',
    watches: [watching(migrations)],
    async reconcile(name, signal) {
      const migration = migrations.get(name);
      if (!migration || migration.metadata.deletionTimestamp || isOver(migration)) return;
      const kind = kindOf(migration);
      if (kind) return migrate(migration, kind, signal);
      const age = now() - Date.parse(migration.metadata.creationTimestamp ?? '');
      if (age < patience) return { again: Math.min(1000, patience - age) };
      await tell(migration, 'Failed', 'there is no such resource', signal);
    },
  };

  async function migrate(migration: Migration, kind: Kind, signal: AbortSignal): Promise<void> {
    const { resourceVersion } = (await client.list(kind, { limit: 1 }, signal)).metadata;
    const running = await tell(migration, 'Running', '', signal, resourceVersion);
    try {
      for await (const { items } of client.pages(kind, {}, signal))
        for (let at = 0; at < items.length; at += width)
          await Promise.all(items.slice(at, at + width).map((object) => rewrite(kind, object, signal)));
    } catch (error) {
      // Whatever may pass is tried again: what was rewritten is not written twice.
      if (!(error instanceof StatusError) || mayPass(error)) throw error;
      await tell(running, 'Failed', error.message, signal);
      return;
    }
    await tell(running, 'Succeeded', '', signal);
  }

  /** Who wrote or deleted it in between has done our work. */
  async function rewrite(kind: Kind, object: KubeObject & Stored, signal: AbortSignal): Promise<void> {
    const { uid, resourceVersion } = object.metadata;
    const options = { fieldManager: 'storage-version-migrator-controller' };
    await client
      .patch(kind, object.metadata, { metadata: { uid, resourceVersion } }, options, signal)
      .catch((error: unknown) => {
        if (!isConflict(error) && !isNotFound(error)) throw error;
      });
  }

  async function tell(
    migration: Migration,
    type: keyof typeof reasons,
    message: string,
    signal: AbortSignal,
    resourceVersion = migration.status?.resourceVersion,
  ): Promise<Migration> {
    const reason = reasons[type];
    const isRunning = { type: 'Running', status: type === 'Running' ? 'True' : 'False', reason, message } as const;
    const status = { ...migration.status, resourceVersion, conditions: withCondition(migration, isRunning, now()) };
    if (type !== 'Running')
      status.conditions = withCondition({ ...migration, status }, { type, status: 'True', reason, message }, now());
    const { metadata } = migration;
    const options = { subresource: 'status' };
    return client.patch(StorageVersionMigration, metadata, { metadata: onlyThis(metadata), status }, options, signal);
  }
}

const reasons = {
  Running: 'StorageVersionMigrationInProgress',
  Succeeded: 'StorageVersionMigrationSucceeded',
  Failed: 'StorageVersionMigrationFailed',
} as const;

const onlyThis = ({ uid, resourceVersion }: Stored['metadata']) => ({ uid, resourceVersion });

const isOver = ({ status }: Migration): boolean =>
  (status?.conditions ?? []).some(
    (condition) => condition.status === 'True' && (condition.type === 'Succeeded' || condition.type === 'Failed'),
  );

/** The pages ran out of history, the server was busy, stopping or broken for a moment. */
const mayPass = (error: StatusError): boolean => isGone(error) || error.code === 429 || error.code >= 500;
