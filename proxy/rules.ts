import { isIPv6 } from 'node:net';
import { contains, parseAddress, parseCidr, widthOf } from '../api/cidr.ts';
import type { EndpointSlice } from '../api/kinds/endpoint-slice.ts';
import type { Service, ServicePort as PortSpec } from '../api/kinds/service.ts';

// https://kubernetes.io/docs/reference/networking/virtual-ips/

export type Protocol = 'TCP' | 'UDP' | 'SCTP';

export interface Endpoint {
  address: string;
  port: number;
}

/** One port of a Service in one address family, and who answers there: all that a writer needs to know. */
export interface ServicePort {
  /** `namespace/name:port/protocol`, with `/6` behind it for IPv6. */
  key: string;
  /** `namespace/name`. */
  service: string;
  protocol: Protocol;
  family: 4 | 6;
  clusterIP: string;
  port: number;
  /** 0 where there is none. */
  nodePort: number;
  externalIPs: readonly string[];
  loadBalancerIPs: readonly string[];
  /** Who may come to the load balancer's addresses (CIDRs); nobody is kept out when it is empty. */
  sourceRanges: readonly string[];
  /** How long a client stays with its endpoint; 0 without session affinity. */
  affinitySeconds: number;
  internalLocal: boolean;
  externalLocal: boolean;
  /** Whom the whole cluster's traffic may reach, in an order that does not change while they do not. */
  cluster: readonly Endpoint[];
  /** Those on this node; empty where no policy asks for them. */
  local: readonly Endpoint[];
  /** Addresses of endpoints on this node that are ready; empty without a health-check node port. */
  localReady: readonly string[];
  /** Where others ask whether this node has endpoints of the Service; 0 nowhere. */
  healthCheckNodePort: number;
}

export type Plan = ReadonlyMap<string, ServicePort>;
/** What a port has become; undefined where it has gone. */
export type Changes = ReadonlyMap<string, ServicePort | undefined>;

/** What decides beside the objects: who and where we are. */
export interface Place {
  node: string;
  zone: string;
  /** All nodes are this machine, as in the try-out: every endpoint is local. */
  everywhere?: boolean;
  /** Addresses of this node. */
  addresses?: readonly string[];
}

type Candidate = EndpointSlice['endpoints'][number] & { address: string; port: number };

const otherProxy = 'service.kubernetes.io/service-proxy-name';

/** The ports of one Service; `slices` are its own. Headless Services and external names have none. */
export function portsOf(service: Service, slices: readonly EndpointSlice[], place: Place): ServicePort[] {
  const { spec, metadata } = service;
  const addresses = spec.clusterIPs?.length ? spec.clusterIPs : spec.clusterIP ? [spec.clusterIP] : [];
  if (spec.type === 'ExternalName' || addresses.includes('None') || metadata.labels?.[otherProxy] !== undefined)
    return [];
  return addresses.flatMap((clusterIP) =>
    (spec.ports ?? []).map((port) => portOf(service, port, clusterIP, slices, place)),
  );
}

function portOf(
  { metadata, spec, status }: Service,
  port: PortSpec,
  clusterIP: string,
  slices: readonly EndpointSlice[],
  place: Place,
): ServicePort {
  const family = familyOf(clusterIP);
  const protocol = port.protocol ?? 'TCP';
  const service = `${metadata.namespace}/${metadata.name}`;
  const internalLocal = spec.internalTrafficPolicy === 'Local';
  const externalLocal = spec.externalTrafficPolicy === 'Local';
  const candidates = candidatesOf(slices, port.name ?? '', protocol, family);
  const own = (address: string) => familyOf(address) === family;
  const loadBalancerIPs = (spec.type === 'LoadBalancer' ? (status?.loadBalancer?.ingress ?? []) : [])
    .filter(({ ip, ipMode }) => ip && ipMode !== 'Proxy' && own(ip))
    .map(({ ip }) => ip!);
  const onNode = candidates.filter(({ nodeName }) => place.everywhere || nodeName === place.node);
  const healthCheckNodePort = externalLocal ? (spec.healthCheckNodePort ?? 0) : 0;
  const lasts = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? 10_800;
  return {
    key: `${service}:${port.name ?? ''}/${protocol}${family === 6 ? '/6' : ''}`,
    service,
    protocol,
    family,
    clusterIP,
    port: port.port,
    nodePort: port.nodePort ?? 0,
    externalIPs: (spec.externalIPs ?? []).filter(own),
    loadBalancerIPs,
    sourceRanges: allowedRanges(
      (spec.loadBalancerSourceRanges ?? []).map((range) => range.trim()).filter(own),
      loadBalancerIPs,
      place,
    ),
    affinitySeconds: spec.sessionAffinity === 'ClientIP' ? lasts : 0,
    internalLocal,
    externalLocal,
    cluster: plain(near(usable(candidates), place)),
    local: internalLocal || externalLocal ? plain(usable(onNode)) : [],
    localReady: healthCheckNodePort ? plain(onNode.filter(isReady)).map(({ address }) => address) : [],
    healthCheckNodePort,
  };
}

/**
 * Where the ranges let this node in, its calls to the balancer's address come from that address if it is one of the node's own, as
 * some balancers make it: they are let in by it.
 */
function allowedRanges(
  ranges: readonly string[],
  ips: readonly string[],
  { addresses = [] }: Place,
): readonly string[] {
  const parsed = ranges.flatMap((range) => parseCidr(range) ?? []);
  const own = addresses.flatMap((address) => parseAddress(address) ?? []);
  const isIn = own.some((address) => parsed.some((range) => contains(range, address)));
  return isIn ? [...ranges, ...ips.map((ip) => `${ip}/${widthOf(familyOf(ip))}`)] : ranges;
}

export const familyOf = (address: string): 4 | 6 => (isIPv6(address.split('/')[0]!) ? 6 : 4);

function candidatesOf(slices: readonly EndpointSlice[], name: string, protocol: Protocol, family: 4 | 6): Candidate[] {
  return slices
    .filter(({ addressType }) => addressType === (family === 6 ? 'IPv6' : 'IPv4'))
    .flatMap(({ endpoints, ports }) =>
      (ports ?? [])
        .filter((port) => (port.name ?? '') === name && (port.protocol ?? 'TCP') === protocol && port.port)
        .flatMap(({ port }) =>
          // All addresses of one endpoint are the same pod: the first stands for it.
          endpoints.map((endpoint) => ({ ...endpoint, address: endpoint.addresses[0]!, port: port! })),
        ),
    );
}

const isReady = ({ conditions }: Candidate): boolean => conditions?.ready !== false;

/** The ready ones; where there is none, those that end but still serve. */
function usable(candidates: readonly Candidate[]): readonly Candidate[] {
  const ready = candidates.filter(isReady);
  if (ready.length > 0) return ready;
  return candidates.filter(({ conditions }) => conditions?.serving !== false && conditions?.terminating === true);
}

/** Those that hints give to this node or zone, if every endpoint has a hint and some are for us. */
function near(candidates: readonly Candidate[], { node, zone }: Place): readonly Candidate[] {
  for (const [hint, mine] of [
    ['forNodes', node],
    ['forZones', zone],
  ] as const) {
    if (!mine || !candidates.every(({ hints }) => hints?.[hint]?.length)) continue;
    const ours = candidates.filter(({ hints }) => hints?.[hint]?.some(({ name }) => name === mine));
    if (ours.length > 0) return ours;
  }
  return candidates;
}

/** Once each, sorted: two slices may tell of the same endpoint while it moves between them. */
function plain(candidates: readonly Candidate[]): Endpoint[] {
  const seen = new Map(candidates.map(({ address, port }) => [`${address} ${port}`, { address, port }]));
  return [...seen].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, endpoint]) => endpoint);
}

/** Whether the key is of a port with an IPv6 address. */
export const isOfIPv6 = (key: string): boolean => key.endsWith('/6');

/** Who answers what comes to the cluster IP. */
export const internalEndpoints = (port: ServicePort): readonly Endpoint[] =>
  port.internalLocal ? port.local : port.cluster;

/** Who answers what comes from outside, by a node port, an external or a load balancer's address. */
export const externalEndpoints = (port: ServicePort): readonly Endpoint[] =>
  port.externalLocal ? port.local : port.cluster;

export const isExternal = (port: ServicePort): boolean =>
  port.nodePort > 0 || port.externalIPs.length > 0 || port.loadBalancerIPs.length > 0;
