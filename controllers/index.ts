/**
 * controllers/: whatever was declared, happens.
 *
 *   informers ─▶ keys ─▶ queue ─▶ reconcile(key): look at the cache, bring the world to what is declared, write status
 *
 * One file a controller, one loop for all (client/reconcile.ts). A controller knows the apiserver and nothing else: no
 * Mesos, no nodes' insides, no other controller's memory.
 */
import { readFileSync } from 'node:fs';
import type { Client } from '../client/client.ts';
import { EventRecorder } from '../client/events.ts';
import { Informers } from '../client/informer.ts';
import { type Reconciler, type World, createWorld, run } from '../client/reconcile.ts';
import type { Logger } from '../lib/log.ts';
import { type Values, list, text } from '../lib/options.ts';
import { clusterRoleAggregation } from './cluster-role-aggregation.ts';
import { cronJobs } from './cron-job.ts';
import { daemonSets } from './daemon-set.ts';
import { deployments } from './deployment.ts';
import { disruption } from './disruption.ts';
import { endpointSlices } from './endpoint-slice.ts';
import { endpoints } from './endpoints.ts';
import { garbageCollector } from './garbage-collector.ts';
import { jobs } from './job.ts';
import { namespaces } from './namespace.ts';
import { replicaSets } from './replica-set.ts';
import { replicationControllers } from './replication-controller.ts';
import { resourceQuotas } from './resource-quota.ts';
import { rootCa } from './root-ca.ts';
import { serviceAccounts } from './service-account.ts';
import { statefulSets } from './stateful-set.ts';

/** Every controller by the name that --controllers takes. Adding one is a file and a line here. */
const all: Readonly<Record<string, (world: World) => Reconciler>> = {
  deployment: deployments,
  'replica-set': replicaSets,
  'replication-controller': replicationControllers,
  'stateful-set': statefulSets,
  'daemon-set': daemonSets,
  job: jobs,
  'cron-job': cronJobs,
  disruption,
  namespace: namespaces,
  'garbage-collector': garbageCollector,
  endpoints,
  'endpoint-slice': endpointSlices,
  'service-account': serviceAccounts,
  'resource-quota': resourceQuotas,
  'cluster-role-aggregation': clusterRoleAggregation,
};

export const options = {
  controllers: list('Controllers to run: * for all, name for one more, -name for one less', ['*'], '<*,name,-name>'),
  rootCaFile: text('CA of the apiserver (PEM), given to the pods of every namespace', '', '<file>'),
} as const;

/** Resolves when all caches are in sync and every controller works; `closed` when the signal has stopped them. */
export async function start(
  { controllers, rootCaFile }: Values<typeof options>,
  { client, log, signal }: { client: Client; log: Logger; signal: AbortSignal },
): Promise<{ closed: Promise<void> }> {
  const own = log.child({ component: 'controller-manager' });
  const informers = new Informers(client, own);
  const world = createWorld(client, informers, new EventRecorder(client, 'km-controller-manager', own), own);
  const reconcilers = chosen(controllers).map((name) => all[name]!(world));
  if (rootCaFile) reconcilers.push(rootCa(readFileSync(rootCaFile, 'utf8'))(world));
  await informers.start(signal);
  const running = reconcilers.map((reconciler) => run(reconciler, { log: own, signal }));
  return { closed: Promise.all(running).then(() => undefined) };
}

/** Throws an Error that lists the controllers there are. */
function chosen(wishes: readonly string[]): string[] {
  const names = new Set(wishes.includes('*') ? Object.keys(all) : []);
  for (const wish of wishes.filter((name) => name !== '*')) {
    const name = wish.replace(/^-/, '');
    if (!(name in all))
      throw new Error(`--controllers: there is no controller "${name}"; there are ${Object.keys(all).join(', ')}`);
    if (wish.startsWith('-')) names.delete(name);
    else names.add(name);
  }
  return [...names];
}
