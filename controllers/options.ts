import { doorOptions } from '../client/door.ts';
import { type Values, duration, flag, list, number, oneOf, text } from '../lib/options.ts';

const atOnce = { min: 1, max: 1000 };

/** How many keys of a controller are worked on at once, by the flags of kube-controller-manager. */
const syncs = {
  concurrentDeploymentSyncs: number('Deployments worked on at once', 5, atOnce),
  concurrentReplicasetSyncs: number('ReplicaSets worked on at once', 8, atOnce),
  concurrentRcSyncs: number('ReplicationControllers worked on at once', 5, atOnce),
  concurrentStatefulsetSyncs: number('StatefulSets worked on at once', 5, atOnce),
  concurrentDaemonsetSyncs: number('DaemonSets worked on at once', 5, atOnce),
  concurrentJobSyncs: number('Jobs worked on at once', 8, atOnce),
  concurrentCronJobSyncs: number('CronJobs worked on at once', 5, atOnce),
  concurrentHorizontalPodAutoscalerSyncs: number('HorizontalPodAutoscalers worked on at once', 5, atOnce),
  concurrentDisruptionSyncs: number('PodDisruptionBudgets worked on at once', 5, atOnce),
  concurrentEndpointSyncs: number('Services whose Endpoints are made at once', 5, atOnce),
  concurrentServiceEndpointSyncs: number('Services whose EndpointSlices are made at once', 5, atOnce),
  concurrentServiceSyncs: number('Services of type LoadBalancer worked on at once', 1, atOnce),
  concurrentGcSyncs: number('Objects that the garbage collector looks at at once', 20, atOnce),
  concurrentNamespaceSyncs: number('Namespaces worked on at once', 10, atOnce),
  concurrentResourceQuotaSyncs: number('ResourceQuotas worked on at once', 5, atOnce),
  concurrentServiceaccountTokenSyncs: number('ServiceAccounts whose token Secrets are filled at once', 5, atOnce),
  concurrentEphemeralvolumeSyncs: number('Pods with ephemeral volumes worked on at once', 5, atOnce),
  mirroringConcurrentServiceEndpointSyncs: number('Hand-made Endpoints mirrored at once', 5, atOnce),
} as const;

export const options = {
  ...doorOptions,
  controllers: list('Controllers to run: * for all, name for one more, -name for one less', ['*'], '<*,name,-name>'),
  ...syncs,
  hostPortEndpoints: flag(
    'Services lead to pods by ports of their nodes, where pods have such: fixed ones, or mapped by Mesos',
  ),
  maxEndpointsPerSlice: number('Endpoints that an EndpointSlice holds at most', 100, { min: 1, max: 1000 }),
  rootCaFile: text('CA of the apiserver (PEM), given to the pods of every namespace', '', '<file>'),
  serviceAccountPrivateKeyFile: text(
    'Key that signs the tokens of service-account-token Secrets (PEM), that of the apiserver; none are made without it',
    '',
    '<file>',
  ),
  legacyServiceAccountTokenAutoGeneration: flag('Give every ServiceAccount a token Secret, as before Kubernetes 1.24'),
  legacyServiceAccountTokenCleanUpPeriod: duration(
    'How long a token Secret of that kind may be unused before it is marked, and marked before it is deleted',
    365 * 86_400_000,
  ),
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
  pvRecyclerPodTemplateFilepathHostpath: text(
    'Pod that empties hostPath volumes of the policy Recycle: its first volume becomes the one to empty; km’s own unless set',
    '',
    '<file>',
  ),
  pvRecyclerPodTemplateFilepathNfs: text('Likewise for NFS volumes', '', '<file>'),
  pvRecyclerMinimumTimeoutHostpath: number('Seconds that it has at least for a hostPath volume', 60, { min: 1 }),
  pvRecyclerTimeoutIncrementHostpath: number('Seconds for each GiB, where that is more', 30),
  pvRecyclerMinimumTimeoutNfs: number('Likewise for an NFS volume', 300, { min: 1 }),
  pvRecyclerTimeoutIncrementNfs: number('Likewise for an NFS volume', 30),
  loadBalancer: oneOf(
    'Who balances Services of type LoadBalancer: Marathon-LB, which reads them on --port; or somebody else',
    ['none', 'marathon-lb'],
    'none',
  ),
  loadBalancerAddresses: list(
    'Addresses or names of the Marathon-LBs; those of the agents unless set',
    [],
    '<ip,name>',
  ),
  loadBalancerClass: text(
    'spec.loadBalancerClass of Services for it; those without one are for it too',
    'k8s.mesosphere.io/marathon-lb',
    '<class>',
  ),
  terminatedPodGcThreshold: number('Ended pods that are kept; 0 keeps all', 12_500),
} as const;

export type Options = Values<typeof options>;
export type Syncs = keyof typeof syncs;
