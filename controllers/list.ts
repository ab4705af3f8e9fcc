import { readFileSync } from 'node:fs';
import type { Reconciler, World } from '../client/reconcile.ts';
import { readSigningKey } from '../lib/signing-keys.ts';
import { attachDetach } from './attach-detach.ts';
import { attachedVolumes } from './attached-volumes.ts';
import { bootstrapSigner, tokenCleaner } from './bootstrap-tokens.ts';
import { certificateApproving, kubeletServingApproving } from './certificate-approving.ts';
import { certificateCleaning, certificateSigning } from './certificates.ts';
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
import { legacyTokenCleaner } from './legacy-token-cleaner.ts';
import { namespaces } from './namespace.ts';
import { nodeIpam } from './node-ipam.ts';
import { nodeLifecycle } from './node-lifecycle.ts';
import { persistentVolumeBinder } from './persistent-volume-binder.ts';
import { persistentVolumeReclaimer } from './persistent-volume-reclaimer.ts';
import { podGc } from './pod-gc.ts';
import { replicaSets } from './replica-set.ts';
import { replicationControllers } from './replication-controller.ts';
import { resourceQuotas } from './resource-quota.ts';
import { rootCa } from './root-ca.ts';
import { serviceAccounts } from './service-account.ts';
import { loadBalancers } from './common/load-balancers.ts';
import type { Reach } from './common/service-pods.ts';
import { serviceCidrs } from './service-cidrs.ts';
import { serviceLb } from './service-lb.ts';
import { serviceAccountTokens } from './service-account-tokens.ts';
import { statefulSets } from './stateful-set.ts';
import { claimProtection, ephemeralVolumes, volumeProtection } from './storage-protection.ts';
import { storageVersionMigrator } from './storage-version-migrator.ts';
import { taintEviction } from './taint-eviction.ts';
import { ttl } from './ttl.ts';
import { validatingPolicyStatus } from './validating-policy-status.ts';
import { volumeExpand } from './volume-expand.ts';
import type { Options, Syncs } from './options.ts';

export interface Controller {
  /** What --controllers takes, and logs, figures and checks show. */
  name: string;
  /** The names that kube-controller-manager takes for it, today's and those of before. */
  also: readonly string[];
  /** Who speaks in its events. */
  component: string;
  /** Which option says how many keys at once. */
  syncs?: Syncs;
  /** Whether `*` leaves it out: these serve clusters that kubeadm joins nodes to, or a kind that is served on request. */
  off?: true;
  /** Undefined where it lacks what it needs: nothing was said of its key, say. */
  make: (world: World, options: Options) => Reconciler | Reconciler[] | undefined;
}

const tokens: Controller['make'] = (world, o) => {
  const path = o.serviceAccountPrivateKeyFile;
  if (!path) return undefined;
  const key = readSigningKey(readFileSync(path, 'utf8'), path);
  const ca = o.rootCaFile ? readFileSync(o.rootCaFile, 'utf8') : undefined;
  return serviceAccountTokens({ key, ca, generate: o.legacyServiceAccountTokenAutoGeneration })(world);
};

const reachOf = ({ hostPortEndpoints }: Options): Reach => (hostPortEndpoints ? 'hosts' : 'pods');

/** Every controller. Adding one is a file and a row here. */
export const all: readonly Controller[] = [
  {
    name: 'deployment',
    also: ['deployment-controller'],
    component: 'deployment-controller',
    syncs: 'concurrentDeploymentSyncs',
    make: deployments,
  },
  {
    name: 'replica-set',
    also: ['replicaset-controller', 'replicaset'],
    component: 'replicaset-controller',
    syncs: 'concurrentReplicasetSyncs',
    make: replicaSets,
  },
  {
    name: 'replication-controller',
    also: ['replicationcontroller-controller', 'replicationcontroller'],
    component: 'replication-controller',
    syncs: 'concurrentRcSyncs',
    make: replicationControllers,
  },
  {
    name: 'stateful-set',
    also: ['statefulset-controller', 'statefulset'],
    component: 'statefulset-controller',
    syncs: 'concurrentStatefulsetSyncs',
    make: statefulSets,
  },
  {
    name: 'daemon-set',
    also: ['daemonset-controller', 'daemonset'],
    component: 'daemonset-controller',
    syncs: 'concurrentDaemonsetSyncs',
    make: daemonSets,
  },
  { name: 'job', also: ['job-controller'], component: 'job-controller', syncs: 'concurrentJobSyncs', make: jobs },
  {
    name: 'cron-job',
    also: ['cronjob-controller', 'cronjob'],
    component: 'cronjob-controller',
    syncs: 'concurrentCronJobSyncs',
    make: cronJobs,
  },
  {
    name: 'disruption',
    also: ['disruption-controller'],
    component: 'controllermanager',
    syncs: 'concurrentDisruptionSyncs',
    make: disruption,
  },
  {
    name: 'horizontal-pod-autoscaler',
    also: ['horizontal-pod-autoscaler-controller', 'horizontalpodautoscaling'],
    component: 'horizontal-pod-autoscaler',
    syncs: 'concurrentHorizontalPodAutoscalerSyncs',
    make: horizontalPodAutoscaler,
  },
  {
    name: 'node-lifecycle',
    also: ['node-lifecycle-controller', 'nodelifecycle'],
    component: 'node-controller',
    make: (world, o) => nodeLifecycle(o)(world),
  },
  {
    name: 'taint-eviction',
    also: ['taint-eviction-controller'],
    component: 'taint-eviction-controller',
    make: taintEviction,
  },
  {
    name: 'pod-gc',
    also: ['pod-garbage-collector-controller', 'podgc'],
    component: 'pod-garbage-collector-controller',
    make: (world, o) => podGc(o)(world),
  },
  {
    name: 'persistent-volume-binder',
    also: ['persistentvolume-binder-controller', 'persistentvolume-binder'],
    component: 'persistentvolume-controller',
    make: persistentVolumeBinder,
  },
  {
    name: 'persistent-volume-reclaimer',
    also: [],
    component: 'persistentvolume-controller',
    make: (world, o) => persistentVolumeReclaimer(o)(world),
  },
  {
    name: 'volume-expand',
    also: ['persistentvolume-expander-controller', 'persistentvolume-expander'],
    component: 'volume_expand',
    make: volumeExpand,
  },
  {
    name: 'pvc-protection',
    also: ['persistentvolumeclaim-protection-controller'],
    component: 'pvc-protection-controller',
    make: claimProtection,
  },
  {
    name: 'pv-protection',
    also: ['persistentvolume-protection-controller'],
    component: 'pv-protection-controller',
    make: volumeProtection,
  },
  {
    name: 'attach-detach',
    also: ['persistentvolume-attach-detach-controller', 'attachdetach'],
    component: 'attachdetach-controller',
    make: (world) => [attachDetach(world), attachedVolumes(world)],
  },
  {
    name: 'ephemeral-volume',
    also: ['ephemeral-volume-controller'],
    component: 'ephemeral_volume',
    syncs: 'concurrentEphemeralvolumeSyncs',
    make: ephemeralVolumes,
  },
  {
    name: 'namespace',
    also: ['namespace-controller'],
    component: 'namespace-controller',
    syncs: 'concurrentNamespaceSyncs',
    make: namespaces,
  },
  {
    name: 'garbage-collector',
    also: ['garbage-collector-controller', 'garbagecollector'],
    component: 'garbage-collector-controller',
    syncs: 'concurrentGcSyncs',
    make: garbageCollector,
  },
  {
    name: 'endpoints',
    also: ['endpoints-controller', 'endpoint'],
    component: 'endpoint-controller',
    syncs: 'concurrentEndpointSyncs',
    make: (world, o) => endpoints(reachOf(o))(world),
  },
  {
    name: 'endpoint-slice',
    also: ['endpointslice-controller', 'endpointslice'],
    component: 'endpoint-slice-controller',
    syncs: 'concurrentServiceEndpointSyncs',
    make: (world, o) => endpointSlices(o.maxEndpointsPerSlice, reachOf(o))(world),
  },
  {
    name: 'endpoint-slice-mirroring',
    also: ['endpointslice-mirroring-controller', 'endpointslicemirroring'],
    component: 'endpoint-slice-mirroring-controller',
    syncs: 'mirroringConcurrentServiceEndpointSyncs',
    make: endpointSliceMirroring,
  },
  {
    name: 'csr-approving',
    also: ['certificatesigningrequest-approving-controller', 'csrapproving'],
    component: 'certificate-controller',
    make: certificateApproving,
  },
  {
    name: 'kubelet-serving-approving',
    also: [],
    component: 'kubelet-serving-approver',
    make: kubeletServingApproving,
  },
  {
    name: 'csr-signing',
    also: ['certificatesigningrequest-signing-controller', 'csrsigning'],
    component: 'certificate-controller',
    make: (world, o) =>
      o.clusterSigningCertFile && o.clusterSigningKeyFile ? certificateSigning(o)(world) : undefined,
  },
  {
    name: 'csr-cleaning',
    also: ['certificatesigningrequest-cleaner-controller', 'csrcleaner'],
    component: 'certificate-controller',
    make: certificateCleaning,
  },
  {
    name: 'root-ca',
    also: ['root-ca-certificate-publisher-controller', 'root-ca-cert-publisher'],
    component: 'root-ca-cert-publisher',
    make: (world, o) => (o.rootCaFile ? rootCa(readFileSync(o.rootCaFile, 'utf8'))(world) : undefined),
  },
  {
    name: 'service-account',
    also: ['serviceaccount-controller', 'serviceaccount'],
    component: 'service-account-controller',
    make: serviceAccounts,
  },
  {
    name: 'service-account-token',
    also: ['serviceaccount-token-controller', 'serviceaccount-token'],
    component: 'serviceaccount-token-controller',
    syncs: 'concurrentServiceaccountTokenSyncs',
    make: tokens,
  },
  {
    name: 'legacy-service-account-token-cleaner',
    also: ['legacy-serviceaccount-token-cleaner-controller', 'legacy-serviceaccount-token-cleaner'],
    component: 'legacy-service-account-token-cleaner',
    make: (world, o) => legacyTokenCleaner(o.legacyServiceAccountTokenCleanUpPeriod)(world),
  },
  {
    name: 'bootstrap-signer',
    also: ['bootstrap-signer-controller', 'bootstrapsigner'],
    component: 'bootstrap-signer',
    off: true,
    make: bootstrapSigner,
  },
  {
    name: 'token-cleaner',
    also: ['token-cleaner-controller', 'tokencleaner'],
    component: 'token-cleaner',
    off: true,
    make: tokenCleaner,
  },
  {
    name: 'storage-version-migrator',
    also: ['storage-version-migrator-controller'],
    component: 'storage-version-migrator-controller',
    off: true,
    make: storageVersionMigrator,
  },
  {
    name: 'node-ipam',
    also: ['node-ipam-controller', 'nodeipam'],
    component: 'cidrAllocator',
    make: (world, o) => (o.allocateNodeCidrs ? nodeIpam(o)(world) : undefined),
  },
  {
    name: 'service-lb',
    also: ['service-lb-controller', 'service'],
    component: 'service-controller',
    syncs: 'concurrentServiceSyncs',
    make: (world, o) =>
      o.loadBalancer === 'none' ? undefined : serviceLb(loadBalancers[o.loadBalancer](o, world.now), o)(world),
  },
  {
    name: 'service-cidrs',
    also: ['service-cidr-controller', 'service-cidrs-controller'],
    component: 'service-cidrs-controller',
    make: serviceCidrs,
  },
  {
    name: 'validating-policy-status',
    also: ['validatingadmissionpolicy-status-controller', 'validatingadmissionpolicy-status'],
    component: 'validatingadmissionpolicy-status-controller',
    make: validatingPolicyStatus,
  },
  { name: 'ttl', also: ['ttl-controller'], component: 'ttl-controller', make: ttl },
  {
    name: 'resource-quota',
    also: ['resourcequota-controller', 'resourcequota'],
    component: 'resourcequota-controller',
    syncs: 'concurrentResourceQuotaSyncs',
    make: resourceQuotas,
  },
  {
    name: 'cluster-role-aggregation',
    also: ['clusterrole-aggregation-controller', 'clusterrole-aggregation'],
    component: 'clusterrole-aggregation-controller',
    make: clusterRoleAggregation,
  },
];

/** Those that the wishes of --controllers mean. Throws an Error that lists the controllers there are. */
export function chosen(wishes: readonly string[]): Controller[] {
  const byName = new Map(all.flatMap((one) => [one.name, ...one.also].map((name) => [name, one] as const)));
  const found = new Set(wishes.includes('*') ? all.filter(({ off }) => !off) : []);
  for (const wish of wishes.filter((name) => name !== '*')) {
    const one = byName.get(wish.replace(/^-/, ''));
    if (!one) {
      const name = wish.replace(/^-/, '');
      throw new Error(
        `--controllers: there is no controller "${name}"; there are ${all.map((c) => c.name).join(', ')}`,
      );
    }
    if (wish.startsWith('-')) found.delete(one);
    else found.add(one);
  }
  return [...found];
}
