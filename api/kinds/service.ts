import { ageColumn, formatLabels, joined, nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import type { Condition, KubeObject } from '../meta.ts';
import { equal } from '../../lib/equal.ts';
import { checkDns1035 } from '../names.ts';
import { isExternallyAccessible, needsHealthCheckPort, usesNodePorts } from '../service-addresses.ts';
import { validateServiceSpec, validateServiceUpdate } from '../validate-service.ts';

export interface Service extends KubeObject {
  spec: ServiceSpec;
  status?: {
    loadBalancer?: { ingress?: Ingress[] };
    conditions?: Condition[];
  };
}

export interface ServiceSpec {
  type?: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
  selector?: Record<string, string>;
  ports?: ServicePort[];
  clusterIP?: string;
  clusterIPs?: string[];
  ipFamilies?: ('IPv4' | 'IPv6')[];
  ipFamilyPolicy?: 'SingleStack' | 'PreferDualStack' | 'RequireDualStack';
  externalName?: string;
  externalIPs?: string[];
  sessionAffinity?: 'None' | 'ClientIP';
  sessionAffinityConfig?: { clientIP?: { timeoutSeconds?: number } };
  externalTrafficPolicy?: string;
  internalTrafficPolicy?: string;
  allocateLoadBalancerNodePorts?: boolean;
  publishNotReadyAddresses?: boolean;
  loadBalancerClass?: string;
  loadBalancerSourceRanges?: string[];
  healthCheckNodePort?: number;
  trafficDistribution?: string;
}

/** Where a load balancer is reached, and which ports it serves there. */
export interface Ingress {
  ip?: string;
  hostname?: string;
  ipMode?: 'VIP' | 'Proxy';
  ports?: { port: number; protocol: string; error?: string }[];
}

export interface ServicePort {
  name?: string;
  protocol?: 'TCP' | 'UDP' | 'SCTP';
  port: number;
  targetPort?: number | string;
  nodePort?: number;
  appProtocol?: string;
}

export const Service = kind<Service>({
  group: '',
  version: 'v1',
  kind: 'Service',
  plural: 'services',
  short: ['svc'],
  categories: ['all'],
  namespaced: true,
  subresources: ['status', 'proxy'],
  generation: false,
  checkName: checkDns1035,
  defaults,
  prepareCreate: (service) => {
    service.status = { loadBalancer: {} };
  },
  prepareUpdate: ({ spec }, old) => {
    dropLeftOver(spec, old.spec);
    keepAllocated(spec, old.spec);
  },
  validate: ({ spec }) => validateServiceSpec(spec),
  validateUpdate: ({ spec }, old) => validateServiceUpdate(spec, old.spec),
  columns: [
    nameColumn,
    { name: 'Type', value: ({ spec }) => spec.type ?? '' },
    { name: 'Cluster-IP', value: ({ spec }) => spec.clusterIP || '<none>' },
    { name: 'External-IP', value: externalIp },
    { name: 'Port(s)', value: ({ spec }) => joined((spec.ports ?? []).map(formatPort)) },
    ageColumn,
    { name: 'Selector', priority: 1, value: ({ spec }) => formatLabels(spec.selector) },
  ],
  selectableFields: {
    'spec.clusterIP': ({ spec }) => spec.clusterIP ?? '',
    'spec.type': ({ spec }) => spec.type ?? '',
  },
});

const isBalanced = ({ type }: ServiceSpec): boolean => type === 'LoadBalancer';
const isNoName = ({ type }: ServiceSpec): boolean => type !== 'ExternalName';
/** Fields that make sense for some types only. */
const dependents: readonly [field: keyof ServiceSpec, isFor: (spec: ServiceSpec) => boolean][] = [
  ['clusterIP', isNoName],
  ['clusterIPs', isNoName],
  ['ipFamilies', isNoName],
  ['ipFamilyPolicy', isNoName],
  ['externalTrafficPolicy', isExternallyAccessible],
  ['healthCheckNodePort', needsHealthCheckPort],
  ['allocateLoadBalancerNodePorts', isBalanced],
  ['loadBalancerClass', isBalanced],
];

/** Who changes the type need not take away what the old one had, if he says nothing else of it. */
function dropLeftOver(spec: ServiceSpec, old: ServiceSpec): void {
  for (const [field, isFor] of dependents)
    if (isFor(old) && !isFor(spec) && equal(spec[field], old[field])) delete spec[field];
}

/** What the server has given stays when an update leaves it out. */
function keepAllocated(spec: ServiceSpec, old: ServiceSpec): void {
  if (spec.type === 'ExternalName') return;
  if (old.clusterIP && old.type !== 'ExternalName') {
    spec.clusterIP ||= spec.clusterIPs?.[0] ?? old.clusterIP;
    if (old.clusterIPs && spec.clusterIP === old.clusterIP) spec.clusterIPs ??= old.clusterIPs;
  }
  if (needsHealthCheckPort(spec) && needsHealthCheckPort(old) && old.healthCheckNodePort)
    spec.healthCheckNodePort ||= old.healthCheckNodePort;
  if (!usesNodePorts(spec) || !usesNodePorts(old)) return;
  for (const port of spec.ports ?? [])
    port.nodePort ||=
      old.ports?.find((p) => p.port === port.port && p.protocol === port.protocol && p.name === port.name)?.nodePort ??
      0;
}

/** Families and their policy are the cluster's to fill in, together with the addresses. */
function defaults({ spec }: Service): void {
  if (!spec) return;
  spec.type ||= 'ClusterIP';
  spec.sessionAffinity ||= 'None';
  if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig;
  if (spec.sessionAffinity === 'ClientIP') spec.sessionAffinityConfig ??= { clientIP: { timeoutSeconds: 10800 } };
  for (const port of spec.ports ?? []) {
    port.protocol ||= 'TCP';
    if (port.targetPort === undefined || port.targetPort === '' || port.targetPort === 0) port.targetPort = port.port;
  }
  if (spec.type !== 'ExternalName') {
    spec.internalTrafficPolicy ||= 'Cluster';
    if (spec.clusterIP) spec.clusterIPs ??= [spec.clusterIP];
    else if (spec.clusterIPs?.[0]) spec.clusterIP = spec.clusterIPs[0];
  }
  if (isExternallyAccessible(spec)) spec.externalTrafficPolicy ||= 'Cluster';
  if (spec.type === 'LoadBalancer') spec.allocateLoadBalancerNodePorts ??= true;
}

function externalIp({ spec, status }: Service): string {
  const given = spec.externalIPs ?? [];
  switch (spec.type) {
    case 'ExternalName':
      return spec.externalName ?? '';
    case 'LoadBalancer': {
      const ingress = (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip ?? hostname ?? '');
      return [...ingress, ...given].join(',') || '<pending>';
    }
    default:
      return joined(given);
  }
}

const formatPort = ({ port, nodePort, protocol = 'TCP' }: ServicePort): string =>
  nodePort ? `${port}:${nodePort}/${protocol}` : `${port}/${protocol}`;
