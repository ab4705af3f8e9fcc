import type { FlowRule, FlowSchema } from '../../api/kinds/flow-schema.ts';
import type { PriorityLevelConfiguration } from '../../api/kinds/priority-level-configuration.ts';

type Subjects = FlowRule['subjects'];
type ResourceRule = NonNullable<FlowRule['resourceRules']>[number];

const everyResource = {
  verbs: ['*'],
  apiGroups: ['*'],
  resources: ['*'],
  clusterScope: true,
  namespaces: ['*'],
} satisfies ResourceRule;
const anything = { resourceRules: [everyResource], nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }] };

const groups = (...names: string[]): Subjects => names.map((name) => ({ kind: 'Group', group: { name } }));
const users = (...names: string[]): Subjects => names.map((name) => ({ kind: 'User', user: { name } }));
const accounts = (...names: string[]): Subjects =>
  names.map((name) => ({ kind: 'ServiceAccount', serviceAccount: { namespace: 'kube-system', name } }));
const everybody = groups('system:unauthenticated', 'system:authenticated');

const writing = (group: string, resource: string): ResourceRule => ({
  verbs: ['get', 'create', 'update'],
  apiGroups: [group],
  resources: [resource],
  namespaces: ['*'],
});
const leases = { resourceRules: [writing('coordination.k8s.io', 'leases')] };

function level(name: string, shares: number, lendablePercent: number, queues?: [number, number]) {
  const [count = 0, handSize = 0] = queues ?? [];
  const queuing = { queues: count, handSize, queueLengthLimit: 50 };
  return {
    metadata: { name },
    spec: {
      type: 'Limited',
      limited: {
        nominalConcurrencyShares: shares,
        lendablePercent,
        limitResponse: queues ? { type: 'Queue', queuing } : { type: 'Reject' },
      },
    },
  } satisfies PriorityLevelConfiguration;
}

function schema(
  name: string,
  to: string,
  matchingPrecedence: number,
  by: 'ByUser' | 'ByNamespace' | undefined,
  subjects: Subjects,
  what: Omit<FlowRule, 'subjects'>,
): FlowSchema {
  return {
    metadata: { name },
    spec: {
      matchingPrecedence,
      priorityLevelConfiguration: { name: to },
      ...(by ? { distinguisherMethod: { type: by } } : {}),
      rules: [{ subjects, ...what }],
    },
  };
}

/**
 * What is always there, and what is there until an administrator says otherwise.
 * https://kubernetes.io/docs/concepts/cluster-administration/flow-control/#default-configuration-objects
 */
export const mandatoryLevels: readonly PriorityLevelConfiguration[] = [
  {
    metadata: { name: 'exempt' },
    spec: { type: 'Exempt', exempt: { nominalConcurrencyShares: 0, lendablePercent: 0 } },
  },
  level('catch-all', 5, 0),
];

export const suggestedLevels: readonly PriorityLevelConfiguration[] = [
  level('system', 30, 33, [64, 6]),
  level('node-high', 40, 25, [64, 6]),
  level('leader-election', 10, 0, [16, 4]),
  level('workload-high', 40, 50, [128, 6]),
  level('workload-low', 100, 90, [128, 6]),
  level('global-default', 20, 50, [128, 6]),
];

export const mandatorySchemas: readonly FlowSchema[] = [
  schema('exempt', 'exempt', 1, undefined, groups('system:masters'), anything),
  schema('catch-all', 'catch-all', 10_000, 'ByUser', everybody, anything),
];

const nodesAndLeases = {
  resourceRules: [
    { ...everyResource, apiGroups: [''], resources: ['nodes', 'nodes/status'] },
    { verbs: ['*'], apiGroups: ['coordination.k8s.io'], resources: ['leases'], namespaces: ['*'] },
  ],
};
const leaders = [...users('system:kube-controller-manager', 'system:kube-scheduler'), ...accounts('*')];
const endpointWriters = [
  ...users('system:kube-controller-manager'),
  ...accounts('endpoint-controller', 'endpointslicemirroring-controller'),
];

export const suggestedSchemas: readonly FlowSchema[] = [
  schema('probes', 'exempt', 2, undefined, everybody, {
    nonResourceRules: [{ verbs: ['get'], nonResourceURLs: ['/healthz', '/readyz', '/livez'] }],
  }),
  schema('system-leader-election', 'leader-election', 100, 'ByUser', leaders, leases),
  schema('endpoint-controller', 'workload-high', 150, 'ByUser', endpointWriters, {
    resourceRules: [writing('', 'endpoints')],
  }),
  schema('workload-leader-election', 'leader-election', 200, 'ByUser', accounts('*'), leases),
  schema('system-node-high', 'node-high', 400, 'ByUser', groups('system:nodes'), nodesAndLeases),
  schema('system-nodes', 'system', 500, 'ByUser', groups('system:nodes'), anything),
  schema(
    'kube-controller-manager',
    'workload-high',
    800,
    'ByNamespace',
    users('system:kube-controller-manager'),
    anything,
  ),
  schema('kube-scheduler', 'workload-high', 800, 'ByNamespace', users('system:kube-scheduler'), anything),
  schema('kube-system-service-accounts', 'workload-high', 900, 'ByNamespace', accounts('*'), anything),
  schema('service-accounts', 'workload-low', 9000, 'ByUser', groups('system:serviceaccounts'), anything),
  schema('global-default', 'global-default', 9900, 'ByUser', everybody, anything),
];
