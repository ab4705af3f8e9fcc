import type { Kind } from '../api/kind.ts';
import { type KubeObject, type Stored, controllerOf, keyOf } from '../api/meta.ts';
import { isConflict, isNotFound } from '../api/status.ts';
import type { Logger } from '../lib/log.ts';
import type { Client } from './client.ts';
import type { Page } from './door.ts';
import type { EventRecorder } from './events.ts';
import type { Change, Informer, InformerOptions, Informers } from './informer.ts';
import { type QueueWatcher, WorkQueue } from './queue.ts';

/** What a controller is made from. */
export interface World {
  client: Client;
  informer<T extends KubeObject>(kind: Kind<T>, options?: InformerOptions<T & Stored>): Informer<T>;
  events: EventRecorder;
  log: Logger;
  now: () => number;
}

export interface Reconciler {
  /** `replica-set`: in logs, metrics and --controllers. */
  name: string;
  /** Which changes name which keys. */
  watches: Watch[];
  /**
   * Brings one key's world to what is declared. Called once at a time per key. Throwing means: again, later and later.
   * `{ again: ms }` means: look again after that long.
   */
  reconcile(key: string, signal: AbortSignal): Promise<{ again: number } | void>;
  /** How many keys at once; 4 unless told. */
  concurrency?: number;
  /** What it shows on the server's port. */
  pages?: Readonly<Record<string, Page>>;
}

/** Type-erased so that watches of several kinds stand in one list; made by `watching`. */
export interface Watch {
  subscribe(add: (key: string) => void): void;
}

/** Every change of `informer` names the keys that `keys` answers; the object's own key unless told. */
export function watching<T extends KubeObject>(
  informer: Informer<T>,
  keys: (change: Change<T & Stored>) => readonly string[] = ({ object }) => [keyOf(object)],
): Watch {
  return { subscribe: (add) => void informer.on((change) => keys(change).forEach(add)) };
}

/** Keys of the controllers of a kind that own the changed object, now or before the change. */
export function ownerKeys(kind: string): (change: Change<KubeObject & Stored>) => readonly string[] {
  return (change) => {
    const keys = new Set<string>();
    for (const object of change.type === 'updated' ? [change.object, change.old] : [change.object]) {
      const owner = controllerOf(object);
      if (owner?.kind === kind)
        keys.add(keyOf({ metadata: { namespace: object.metadata.namespace ?? '', name: owner.name } }));
    }
    return [...keys];
  };
}

/** A World over one set of shared informers. */
export function createWorld(
  client: Client,
  informers: Informers,
  events: EventRecorder,
  log: Logger,
  now = Date.now,
): World {
  return { client, informer: (kind, options) => informers.of(kind, options), events, log, now };
}

/**
 * The one reconcile loop of the house: changes → keys → queue → reconcile. Resolves when the signal has aborted and the
 * work in hand is done. Start it when the informers are in sync.
 */
export async function run(
  reconciler: Reconciler,
  { log, signal, watcher }: { log: Logger; signal: AbortSignal; watcher?: QueueWatcher },
): Promise<void> {
  const queue = new WorkQueue(undefined, watcher);
  const own = log.child({ controller: reconciler.name });
  for (const watch of reconciler.watches) watch.subscribe((key) => queue.add(key));
  signal.addEventListener('abort', () => queue.close(), { once: true });
  if (signal.aborted) queue.close();
  await Promise.all(Array.from({ length: reconciler.concurrency ?? 4 }, () => work(reconciler, queue, own, signal)));
}

/** What is missing is told when it has been missing for so many milliseconds of backoff. */
const quietly = 1000;

async function work(reconciler: Reconciler, queue: WorkQueue, log: Logger, signal: AbortSignal): Promise<void> {
  for (let key = await queue.take(); key !== undefined; key = await queue.take()) {
    try {
      const result = await reconciler.reconcile(key, signal);
      queue.forget(key);
      if (result) queue.addAfter(key, result.again);
    } catch (err) {
      if (!signal.aborted) {
        const wait = queue.addRateLimited(key);
        // Our copy was old: the informer brings the new one, or tells that the object is gone.
        if (isConflict(err) || (isNotFound(err) && wait < quietly))
          log.debug({ err, key, wait }, 'stale; trying again');
        else log.warn({ err, key, wait }, 'reconcile failed; trying again');
      }
    } finally {
      queue.done(key);
    }
  }
}
