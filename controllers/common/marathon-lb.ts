import { isIP } from 'node:net';
import type { Ingress, Service, ServicePort } from '../../api/kinds/service.ts';
import { type Stored, keyOf } from '../../api/meta.ts';
import { needsHealthCheckPort } from '../../api/service-addresses.ts';

export type Balanced = Service & Stored;

/** A node that takes traffic for a Service at its node ports. */
export interface Host {
  name: string;
  address: string;
}

/**
 * A Service as Marathon shows an app and its tasks, as far as Marathon-LB reads it: marathon_lb.py get_apps,
 * https://github.com/mesosphere/marathon-lb and https://mesosphere.github.io/marathon/api-console/index.html (GET /v2/apps).
 */
export interface MarathonApp {
  id: string;
  labels: Record<string, string>;
  instances: number;
  networks: { mode: 'host' }[];
  portDefinitions: { port: number; protocol: 'tcp'; name?: string }[];
  ports: number[];
  healthChecks?: object[];
  tasks: { id: string; appId: string; host: string; ports: number[]; state: 'TASK_RUNNING' }[];
}

/** HAProxy carries no other protocol, and reaches a Service through its node ports only. */
const servable = ({ protocol, nodePort }: ServicePort): boolean => protocol === 'TCP' && (nodePort ?? 0) > 0;

/** Which Service has a port of the balancer: of those that want it the one that has it already, or the oldest. */
export function portHolders(services: Iterable<Balanced>): ReadonlyMap<number, string> {
  const holders = new Map<number, { service: Balanced; rank: string }>();
  for (const service of services)
    for (const { port } of (service.spec.ports ?? []).filter(servable)) {
      const { creationTimestamp, uid } = service.metadata;
      const rank = `${isServed(service, port) ? 0 : 1} ${creationTimestamp} ${uid}`;
      const other = holders.get(port);
      if (!other || rank < other.rank) holders.set(port, { service, rank });
    }
  return new Map([...holders].map(([port, { service }]) => [port, keyOf(service)]));
}

const isServed = ({ status }: Balanced, port: number): boolean =>
  status?.loadBalancer?.ingress?.some(({ ports = [] }) => ports.some((one) => one.port === port && !one.error)) ??
  false;

/** Why a port is not served, as status.loadBalancer.ingress[].ports[].error has it; undefined where it is. */
export function portError(service: Balanced, port: ServicePort, holders: ReadonlyMap<number, string>) {
  if (port.protocol !== 'TCP') return 'k8s.mesosphere.io/OnlyTCP';
  if (!port.nodePort) return 'k8s.mesosphere.io/NoNodePort';
  return holders.get(port.port) === keyOf(service) ? undefined : 'k8s.mesosphere.io/PortTaken';
}

/** Where clients reach the Service, or nothing when none of its ports is served. `addresses`: IPs or names of balancers. */
export function ingressOf(
  service: Balanced,
  addresses: readonly string[],
  holders: ReadonlyMap<number, string>,
): Ingress[] {
  const ports = (service.spec.ports ?? []).map((port) => {
    const error = portError(service, port, holders);
    return { port: port.port, protocol: port.protocol ?? 'TCP', ...(error ? { error } : {}) };
  });
  if (ports.every(({ error }) => error)) return [];
  // Proxy: nodes do not answer for these addresses themselves, traffic passes by the balancer.
  return addresses.map((address) =>
    isIP(address) > 0 ? { ip: address, ipMode: 'Proxy', ports } : { hostname: address, ports },
  );
}

/** Labels are numbered by the Service's TCP ports that have a node port, in their order. */
export function appOf(service: Balanced, hosts: readonly Host[], holders: ReadonlyMap<number, string>): MarathonApp {
  const ports = (service.spec.ports ?? []).filter(servable);
  const id = `/${keyOf(service)}`;
  return {
    id,
    labels: labelsOf(service, ports, holders),
    instances: hosts.length,
    networks: [{ mode: 'host' }],
    portDefinitions: ports.map(({ port, name }) => ({ port, protocol: 'tcp', ...(name ? { name } : {}) })),
    ports: ports.map(({ port }) => port),
    ...(needsHealthCheckPort(service.spec) ? { healthChecks: [healthCheck(service.spec.healthCheckNodePort)] } : {}),
    tasks: hosts.map(({ name, address }) => ({
      id: `${id.slice(1).replaceAll('/', '_')}.${name}`,
      appId: id,
      host: address,
      ports: ports.map(({ nodePort = 0 }) => nodePort),
      state: 'TASK_RUNNING',
    })),
  };
}

/** Annotations named HAPROXY_… are handed through; they win over what follows from the Service. */
function labelsOf(service: Balanced, ports: readonly ServicePort[], holders: ReadonlyMap<number, string>) {
  const { sessionAffinity, loadBalancerSourceRanges: ranges = [] } = service.spec;
  const each = ports.map((_, n) => ({
    [`HAPROXY_${n}_ENABLED`]: 'true',
    ...(sessionAffinity === 'ClientIP' ? { [`HAPROXY_${n}_BALANCE`]: 'source' } : {}),
    ...(ranges.length > 0 ? { [`HAPROXY_${n}_BACKEND_NETWORK_ALLOWED_ACL`]: ranges.join(' ') } : {}),
    ...(needsHealthCheckPort(service.spec)
      ? { [`HAPROXY_${n}_BACKEND_TCP_HEALTHCHECK_OPTIONS`]: '  option  httpchk GET /healthz\n  timeout check 5s\n' }
      : {}),
  }));
  const given = Object.entries(service.metadata.annotations ?? {}).filter(([name]) => name.startsWith('HAPROXY_'));
  const off = ports.flatMap((port, n) =>
    portError(service, port, holders) ? [[`HAPROXY_${n}_ENABLED`, 'false'] as const] : [],
  );
  return Object.fromEntries([
    ['HAPROXY_GROUP', 'external'],
    ...each.flatMap((labels) => Object.entries(labels)),
    ...given,
    ...off,
  ]);
}

/** TCP by its word, so that Marathon-LB leaves the mode alone; what is asked is in HAPROXY_n_BACKEND_TCP_HEALTHCHECK_OPTIONS. */
const healthCheck = (port: number | undefined) => ({
  protocol: 'TCP',
  port,
  path: '/healthz',
  intervalSeconds: 5,
  timeoutSeconds: 5,
  gracePeriodSeconds: 0,
  maxConsecutiveFailures: 2,
  ignoreHttp1xx: false,
});
