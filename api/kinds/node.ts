import { ageColumn, joined, nameColumn } from '../columns.ts';
import { equal } from '../../lib/equal.ts';
import { bad, forbiddenField, notSupported, required } from '../field-error.ts';
import { kind } from '../kind.ts';
import { checkQualifiedName } from '../names.ts';
import type { Condition, KubeObject } from '../meta.ts';

export interface Node extends KubeObject {
  spec?: NodeSpec;
  status?: NodeStatus;
}

export interface NodeSpec {
  podCIDR?: string;
  podCIDRs?: string[];
  providerID?: string;
  unschedulable?: boolean;
  taints?: Taint[];
}

export interface Taint {
  key: string;
  value?: string;
  effect: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
  timeAdded?: string;
}

export interface NodeStatus {
  capacity?: Record<string, string>;
  allocatable?: Record<string, string>;
  conditions?: (Condition & { lastHeartbeatTime?: string | null })[];
  addresses?: { type: 'Hostname' | 'InternalIP' | 'ExternalIP' | 'InternalDNS' | 'ExternalDNS'; address: string }[];
  daemonEndpoints?: { kubeletEndpoint: { Port: number } };
  nodeInfo?: Record<string, string>;
  /** What its kubelet has mounted, `kubernetes.io/csi/<driver>^<handle>`. */
  volumesInUse?: string[];
  /** What is attached to it, by the same names. */
  volumesAttached?: { name: string; devicePath: string }[];
  images?: { names: string[]; sizeBytes?: number }[];
}

/** https://kubernetes.io/docs/reference/labels-annotations-taints/#topologykubernetesiozone */
export const zoneLabel = 'topology.kubernetes.io/zone';

/** Of nodes that are new, or whose kubelet says that they are not ready. */
export const notReadyTaint = 'node.kubernetes.io/not-ready';

export const Node = kind<Node>({
  group: '',
  version: 'v1',
  kind: 'Node',
  plural: 'nodes',
  short: ['no'],
  namespaced: false,
  subresources: ['status', 'proxy'],
  defaults: (node) => {
    node.spec ??= {};
    node.status ??= {};
    if (node.spec.podCIDR && !node.spec.podCIDRs?.length) node.spec.podCIDRs = [node.spec.podCIDR];
    if (node.spec.podCIDRs?.[0]) node.spec.podCIDR ??= node.spec.podCIDRs[0];
    if (node.status.capacity) node.status.allocatable ??= { ...node.status.capacity };
  },
  // A kubelet registers its node together with the status.
  prepareCreate: () => undefined,
  validate: (node) =>
    (node.spec?.taints ?? []).flatMap((taint, i) => [
      ...(taint.key
        ? checkQualifiedName(taint.key).map((d) => bad(`spec.taints[${i}].key`, taint.key, d))
        : [required(`spec.taints[${i}].key`)]),
      ...(taint.effect
        ? effects.includes(taint.effect)
          ? []
          : [notSupported(`spec.taints[${i}].effect`, taint.effect, effects)]
        : [required(`spec.taints[${i}].effect`)]),
    ]),
  validateUpdate: (node, old) => [
    ...(old.spec?.podCIDRs?.length && !equal(node.spec?.podCIDRs, old.spec.podCIDRs)
      ? [forbiddenField('spec.podCIDRs', 'node updates may not change podCIDR except from "" to valid')]
      : []),
    ...(old.spec?.providerID && node.spec?.providerID !== old.spec.providerID
      ? [
          forbiddenField(
            'spec.providerID',
            'node updates may only change labels, taints, or capacity (or configSource, if the DynamicKubeletConfig feature gate is enabled)',
          ),
        ]
      : []),
  ],
  generation: false,
  columns: [
    nameColumn,
    { name: 'Status', value: nodeStatus },
    { name: 'Roles', value: roles },
    ageColumn,
    { name: 'Version', value: (node) => node.status?.nodeInfo?.['kubeletVersion'] ?? '' },
    { name: 'Internal-IP', priority: 1, value: (node) => addressOf(node, 'InternalIP') },
    { name: 'External-IP', priority: 1, value: (node) => addressOf(node, 'ExternalIP') },
    { name: 'OS-Image', priority: 1, value: (node) => node.status?.nodeInfo?.['osImage'] || '<unknown>' },
    { name: 'Kernel-Version', priority: 1, value: (node) => node.status?.nodeInfo?.['kernelVersion'] || '<unknown>' },
    {
      name: 'Container-Runtime',
      priority: 1,
      value: (node) => node.status?.nodeInfo?.['containerRuntimeVersion'] || '<unknown>',
    },
  ],
  selectableFields: { 'spec.unschedulable': (node) => String(node.spec?.unschedulable ?? false) },
});

const effects = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];

function nodeStatus(node: Node): string {
  const ready = node.status?.conditions?.find((condition) => condition.type === 'Ready');
  const word = !ready ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady';
  return node.spec?.unschedulable ? `${word},SchedulingDisabled` : word;
}

const rolePrefix = 'node-role.kubernetes.io/';

function roles(node: Node): string {
  const labels = node.metadata.labels ?? {};
  const names = Object.keys(labels)
    .filter((key) => key.startsWith(rolePrefix) && key.length > rolePrefix.length)
    .map((key) => key.slice(rolePrefix.length));
  if (labels['kubernetes.io/role']) names.push(labels['kubernetes.io/role']);
  return joined(names.sort());
}

const addressOf = (node: Node, type: string): string =>
  node.status?.addresses?.find((address) => address.type === type)?.address ?? '<none>';
