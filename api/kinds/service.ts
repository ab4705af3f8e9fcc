import { ageColumn, formatLabels, joined, nameColumn } from '../columns.ts';
import { bad, duplicate, immutable, notSupported, required } from '../field-error.ts';
import { kind, type FieldError } from '../kind.ts';
import type { Condition, KubeObject } from '../meta.ts';
import { checkDns1035, checkDnsLabel } from '../names.ts';
import { portRange } from '../pod-spec-validate.ts';
import { validateLabels } from '../validate-meta.ts';

export interface Service extends KubeObject {
  spec: ServiceSpec;
  status?: {
    loadBalancer?: { ingress?: { ip?: string; hostname?: string; ipMode?: string }[] };
    conditions?: Condition[];
  };
}

export interface ServiceSpec {
  type?: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
  selector?: Record<string, string>;
  ports?: ServicePort[];
  clusterIP?: string;
  clusterIPs?: string[];
  ipFamilies?: string[];
  ipFamilyPolicy?: string;
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

export interface ServicePort {
  name?: string;
  protocol?: 'TCP' | 'UDP' | 'SCTP';
  port: number;
  targetPort?: number | string;
  nodePort?: number;
  appProtocol?: string;
}

const types = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
const usesNodePorts = (spec: ServiceSpec) => spec.type === 'NodePort' || spec.type === 'LoadBalancer';

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
  prepareUpdate: (service, old) => {
    const { spec } = service;
    if (spec.type === 'ExternalName') return;
    // What the server allocated stays when an update leaves it out.
    if (old.spec.clusterIP && old.spec.type !== 'ExternalName' && !spec.clusterIP) {
      spec.clusterIP = old.spec.clusterIP;
      if (old.spec.clusterIPs) spec.clusterIPs = old.spec.clusterIPs;
    }
    if (!usesNodePorts(spec) || !usesNodePorts(old.spec)) return;
    for (const port of spec.ports ?? [])
      port.nodePort ||=
        old.spec.ports?.find((p) => p.port === port.port && p.protocol === port.protocol && p.name === port.name)
          ?.nodePort ?? 0;
  },
  validate: (service) => validateSpec(service.spec),
  validateUpdate: ({ spec }, old) =>
    spec.type !== 'ExternalName' &&
    old.spec.type !== 'ExternalName' &&
    old.spec.clusterIP &&
    spec.clusterIP !== old.spec.clusterIP
      ? [immutable('spec.clusterIPs[0]', spec.clusterIP)]
      : [],
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

function defaults({ spec }: Service): void {
  if (!spec) return;
  spec.type ||= 'ClusterIP';
  spec.sessionAffinity ||= 'None';
  if (spec.sessionAffinity === 'ClientIP') spec.sessionAffinityConfig ??= { clientIP: { timeoutSeconds: 10800 } };
  for (const port of spec.ports ?? []) {
    port.protocol ||= 'TCP';
    if (port.targetPort === undefined || port.targetPort === '' || port.targetPort === 0) port.targetPort = port.port;
  }
  if (spec.type !== 'ExternalName') {
    spec.internalTrafficPolicy ||= 'Cluster';
    spec.ipFamilies ??= ['IPv4'];
    spec.ipFamilyPolicy ??= 'SingleStack';
    if (spec.clusterIP) spec.clusterIPs ??= [spec.clusterIP];
  }
  if (usesNodePorts(spec)) spec.externalTrafficPolicy ||= 'Cluster';
  if (spec.type === 'LoadBalancer') spec.allocateLoadBalancerNodePorts ??= true;
}

function validateSpec(spec: ServiceSpec | undefined): FieldError[] {
  if (!spec) return [required('spec.ports')];
  const errors: FieldError[] = [];
  const ports = spec.ports ?? [];
  if (!types.includes(spec.type ?? '')) errors.push(notSupported('spec.type', spec.type, types));
  if (ports.length === 0 && spec.clusterIP !== 'None' && spec.type !== 'ExternalName')
    errors.push(required('spec.ports'));
  if (spec.type === 'ExternalName' && !spec.externalName) errors.push(required('spec.externalName'));
  const names = new Set<string>();
  const seen = new Set<string>();
  for (const [i, port] of ports.entries()) {
    const at = `spec.ports[${i}]`;
    if (ports.length > 1 && !port.name) errors.push(required(`${at}.name`));
    if (port.name) {
      errors.push(...checkDnsLabel(port.name).map((detail) => bad(`${at}.name`, port.name, detail)));
      if (names.has(port.name)) errors.push(duplicate(`${at}.name`, port.name));
      names.add(port.name);
    }
    errors.push(...portRange(port.port ?? 0, `${at}.port`));
    if (!['SCTP', 'TCP', 'UDP'].includes(port.protocol ?? ''))
      errors.push(notSupported(`${at}.protocol`, port.protocol, ['SCTP', 'TCP', 'UDP']));
    if (typeof port.targetPort === 'number') errors.push(...portRange(port.targetPort, `${at}.targetPort`));
    if (port.nodePort && !usesNodePorts(spec))
      errors.push({ type: 'Forbidden', field: `${at}.nodePort`, detail: "may not be used when `type` is 'ClusterIP'" });
    const key = `${port.protocol}/${port.port}`;
    if (seen.has(key)) errors.push(duplicate(at, port));
    seen.add(key);
  }
  if (!['None', 'ClientIP'].includes(spec.sessionAffinity ?? ''))
    errors.push(notSupported('spec.sessionAffinity', spec.sessionAffinity, ['ClientIP', 'None']));
  return [...errors, ...validateLabels(spec.selector, 'spec.selector')];
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
