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
import { type Values, duration, flag, list, number, text } from '../lib/options.ts';
import { readSigningKey } from '../lib/signing-keys.ts';
import { bootstrapSigner, tokenCleaner } from './bootstrap-tokens.ts';
import { certificateApproving, certificateCleaning, certificateSigning } from './certificates.ts';
import { clusterRoleAggregation } from './cluster-role-aggregation.ts';
import { cronJobs } from './cron-job.ts';
import { daemonSets } from './daemon-set.ts';
import { deployments } from './deployment.ts';
import { disruption } from './disruption.ts';
import { endpointSliceMirroring } from './endpoint-slice-mirroring.ts';
import { endpointSlices } from './endpoint-slice.ts';
import { endpoints } from './endpoints.ts';
import { garbageCollector } from './garbage-collector.ts';
import { horizontalPodAutoscaler } from './horizontal-pod-autoscaler.ts';
import { jobs } from './job.ts';
import { namespaces } from './namespace.ts';
import { nodeIpam } from './node-ipam.ts';
import { nodeLifecycle } from './node-lifecycle.ts';
import { persistentVolumeBinder } from './persistent-volume-binder.ts';
import { podGc } from './pod-gc.ts';
import { replicaSets } from './replica-set.ts';
import { replicationControllers } from './replication-controller.ts';
import { resourceQuotas } from './resource-quota.ts';
import { rootCa } from './root-ca.ts';
import { serviceAccounts } from './service-account.ts';
import { serviceAccountTokens } from './service-account-tokens.ts';
import { statefulSets } from './stateful-set.ts';
import { claimProtection, ephemeralVolumes, volumeProtection } from './storage-protection.ts';
import { taintEviction } from './taint-eviction.ts';

export const options = {
  controllers: list('Controllers to run: * for all, name for one more, -name for one less', ['*'], '<*,name,-name>'),
  rootCaFile: text('CA of the apiserver (PEM), given to the pods of every namespace', '', '<file>'),
  serviceAccountPrivateKeyFile: text(
    'Key that signs the tokens of service-account-token Secrets (PEM), that of the apiserver; none are made without it',
    '',
    '<file>',
  ),
  legacyServiceAccountTokenAutoGeneration: flag('Give every ServiceAccount a token Secret, as before Kubernetes 1.24'),
  clusterSigningCertFile: text(
    'CA that signs approved certificate requests (PEM); none are signed without it',
    '',
    '<file>',
  ),
  clusterSigningKeyFile: text('Its key (PEM)', '', '<file>'),
  clusterSigningDuration: duration('How long a signed certificate is good at most', 365 * 86_400_000),
  nodeMonitorGracePeriod: duration('How long a kubelet may be silent before its node is unknown', 50_000),
  nodeEvictionRate: number('Nodes a second and zone that may lose their pods', 0.1),
  secondaryNodeEvictionRate: number('Likewise in a large zone of which a large part is not ready', 0.01),
  largeClusterSizeThreshold: number(
    'Nodes up to which a zone is small: its pods stay if a large part is not ready',
    50,
  ),
  unhealthyZoneThreshold: number('From which part of nodes that are not ready on it is a large part', 0.55),
  allocateNodeCidrs: flag('Give every node its own part of the addresses of pods'),
  clusterCidr: list('Addresses of pods: one range, or one of each family', [], '<range,range>'),
  serviceClusterIpRange: list('Addresses of Services, which no node gets', [], '<range,range>'),
  nodeCidrMaskSize: number('Length of the prefix of a node’s range; 24 for IPv4 and 64 for IPv6 unless set', 0),
  nodeCidrMaskSizeIpv4: number('Likewise for IPv4 where there are both', 0, { max: 32 }),
  nodeCidrMaskSizeIpv6: number('Likewise for IPv6 where there are both', 0, { max: 128 }),
  terminatedPodGcThreshold: number('Ended pods that are kept; 0 keeps all', 12_500),
} as const;

type Options = Values<typeof options>;

/** Undefined is a controller that lacks what it needs: nothing was said of its key, say. */
type Make = (world: World, options: Options) => Reconciler | undefined;

/** Every controller by the name that --controllers takes. Adding one is a file and a line here. */
const all: Readonly<Record<string, Make>> = {
  deployment: deployments,
  'replica-set': replicaSets,
  'replication-controller': replicationControllers,
  'stateful-set': statefulSets,
  'daemon-set': daemonSets,
  job: jobs,
  'cron-job': cronJobs,
  disruption,
  'horizontal-pod-autoscaler': horizontalPodAutoscaler,
  'node-lifecycle': (world, o) => nodeLifecycle(o)(world),
  'taint-eviction': taintEviction,
  'pod-gc': (world, o) => podGc(o)(world),
  'persistent-volume-binder': persistentVolumeBinder,
  'pvc-protection': claimProtection,
  'pv-protection': volumeProtection,
  'ephemeral-volume': ephemeralVolumes,
  namespace: namespaces,
  'garbage-collector': garbageCollector,
  endpoints,
  'endpoint-slice': endpointSlices,
  'endpoint-slice-mirroring': endpointSliceMirroring,
  'csr-approving': certificateApproving,
  'csr-signing': (world, o) =>
    o.clusterSigningCertFile && o.clusterSigningKeyFile ? certificateSigning(o)(world) : undefined,
  'csr-cleaning': certificateCleaning,
  'root-ca': (world, o) => (o.rootCaFile ? rootCa(readFileSync(o.rootCaFile, 'utf8'))(world) : undefined),
  'service-account': serviceAccounts,
  'service-account-token': (world, o) => {
    const path = o.serviceAccountPrivateKeyFile;
    if (!path) return undefined;
    const key = readSigningKey(readFileSync(path, 'utf8'), path);
    const ca = o.rootCaFile ? readFileSync(o.rootCaFile, 'utf8') : undefined;
    return serviceAccountTokens({ key, ca, generate: o.legacyServiceAccountTokenAutoGeneration })(world);
  },
  'bootstrap-signer': bootstrapSigner,
  'token-cleaner': tokenCleaner,
  'node-ipam': (world, o) => (o.allocateNodeCidrs ? nodeIpam(o)(world) : undefined),
  'resource-quota': resourceQuotas,
  'cluster-role-aggregation': clusterRoleAggregation,
};

/** Those that * does not mean: they serve clusters that kubeadm joins nodes to. */
const unlessAsked: ReadonlySet<string> = new Set(['bootstrap-signer', 'token-cleaner']);

/** Resolves when all caches are in sync and every controller works; `closed` when the signal has stopped them. */
export async function start(
  given: Options,
  { client, log, signal }: { client: Client; log: Logger; signal: AbortSignal },
): Promise<{ closed: Promise<void> }> {
  const own = log.child({ component: 'controller-manager' });
  const informers = new Informers(client, own);
  const world = createWorld(client, informers, new EventRecorder(client, 'km-controller-manager', own), own);
  const reconcilers = chosen(given.controllers).flatMap((name) => all[name]!(world, given) ?? []);
  await informers.start(signal);
  const running = reconcilers.map((reconciler) => run(reconciler, { log: own, signal }));
  return { closed: Promise.all(running).then(() => undefined) };
}

/** Throws an Error that lists the controllers there are. */
function chosen(wishes: readonly string[]): string[] {
  const names = new Set(wishes.includes('*') ? Object.keys(all).filter((name) => !unlessAsked.has(name)) : []);
  for (const wish of wishes.filter((name) => name !== '*')) {
    const name = wish.replace(/^-/, '');
    if (!(name in all))
      throw new Error(`--controllers: there is no controller "${name}"; there are ${Object.keys(all).join(', ')}`);
    if (wish.startsWith('-')) names.delete(name);
    else names.add(name);
  }
  return [...names];
}
