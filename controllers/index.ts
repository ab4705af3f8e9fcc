/**
 * controllers/: whatever was declared, happens.
 *
 *   informers ─▶ keys ─▶ queue ─▶ reconcile(key): look at the cache, bring the world to what is declared, write status
 *
 * One file a controller, one loop for all (client/reconcile.ts). A controller knows the apiserver and nothing else: no
 * Mesos, no nodes' insides, no other controller's memory.
 */
import type { Client } from '../client/client.ts';
import type { Page } from '../client/door.ts';
import { EventRecorder } from '../client/events.ts';
import { Informers } from '../client/informer.ts';
import { type Reconciler, createWorld, run } from '../client/reconcile.ts';
import type { Logger } from '../lib/log.ts';
import type { Figures } from './figures.ts';
import { chosen } from './list.ts';
import type { Options } from './options.ts';

export { Figures } from './figures.ts';
export { options } from './options.ts';

/** Resolves when all caches are in sync and every controller works; `pages` are for its port; `closed` when the signal has stopped them. */
export async function start(
  given: Options,
  { client, log, signal, figures }: { client: Client; log: Logger; signal: AbortSignal; figures?: Figures },
): Promise<{ closed: Promise<void>; pages: Readonly<Record<string, Page>> }> {
  const own = log.child({ component: 'controller-manager' });
  const informers = new Informers(client, own, { managedFields: false });
  const reconcilers = reconcilersOf(given, client, informers, own);
  await informers.start(signal);
  const running = reconcilers.map((reconciler) =>
    run(reconciler, { log: own, signal, ...(figures ? { watcher: figures.watch(reconciler.name) } : {}) }),
  );
  const pages = Object.fromEntries(reconcilers.flatMap((reconciler) => Object.entries(reconciler.pages ?? {})));
  return { closed: Promise.all(running).then(() => undefined), pages };
}

/** Those that --controllers asks for, each with as many keys at once as its --concurrent-…-syncs says. Exported for its test. */
export function reconcilersOf(given: Options, client: Client, informers: Informers, log: Logger): Reconciler[] {
  return chosen(given.controllers).flatMap(({ component, syncs, make }) => {
    const events = new EventRecorder(client, component, log);
    const reconcilers = [make(createWorld(client, informers, events, log), given) ?? []].flat();
    if (syncs) for (const reconciler of reconcilers) reconciler.concurrency = given[syncs];
    return reconcilers;
  });
}
