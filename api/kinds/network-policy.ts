import { ageColumn, nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import type { KubeObject, LabelSelector } from '../meta.ts';
import { formatSelector, fromLabelSelector } from '../selector.ts';
import { validateNetworkPolicy } from '../validate-network-policy.ts';

export interface NetworkPolicy extends KubeObject {
  spec?: {
    podSelector?: LabelSelector;
    ingress?: { ports?: NetworkPolicyPort[]; from?: NetworkPolicyPeer[] }[];
    egress?: { ports?: NetworkPolicyPort[]; to?: NetworkPolicyPeer[] }[];
    policyTypes?: ('Ingress' | 'Egress')[];
  };
}

export interface NetworkPolicyPort {
  protocol?: 'TCP' | 'UDP' | 'SCTP';
  port?: number | string;
  endPort?: number;
}

export interface NetworkPolicyPeer {
  podSelector?: LabelSelector;
  namespaceSelector?: LabelSelector;
  ipBlock?: { cidr: string; except?: string[] };
}

export const NetworkPolicy = kind<NetworkPolicy>({
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'NetworkPolicy',
  plural: 'networkpolicies',
  short: ['netpol'],
  namespaced: true,
  defaults: ({ spec }) => {
    if (!spec) return;
    spec.podSelector ??= {};
    for (const { ports } of [...(spec.ingress ?? []), ...(spec.egress ?? [])])
      for (const port of ports ?? []) port.protocol ??= 'TCP';
    if (!spec.policyTypes?.length) spec.policyTypes = spec.egress?.length ? ['Ingress', 'Egress'] : ['Ingress'];
  },
  validate: validateNetworkPolicy,
  columns: [
    nameColumn,
    {
      name: 'Pod-Selector',
      value: ({ spec }) => formatSelector(fromLabelSelector(spec?.podSelector) ?? []) || '<none>',
    },
    ageColumn,
  ],
});
