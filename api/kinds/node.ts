import { kind } from '../kind.ts';
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
  images?: { names: string[]; sizeBytes?: number }[];
}

export const Node = kind<Node>({
  group: '',
  version: 'v1',
  kind: 'Node',
  plural: 'nodes',
  short: ['no'],
  namespaced: false,
  subresources: ['status', 'proxy'],
});
