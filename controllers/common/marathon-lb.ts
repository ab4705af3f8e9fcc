import { isIP } from 'node:net';
import type { Ingress, ServicePort } from '../../api/kinds/service.ts';
import { keyOf } from '../../api/meta.ts';
import { needsHealthCheckPort } from '../../api/service-addresses.ts';
import type { Page } from '../../client/door.ts';
import type { Balanced, Host, LoadBalancer, Reached } from './load-balancer.ts';

/** Status names no more agents than this; a balancer in front of them has all. */
const mostAddresses = 32;
/** How many balancers may follow the changes at once. */
const mostFollowers = 64;

/**
 * Marathon-LB, which reads Services as if they were apps of a Marathon:
 *
 *   Service ─▶ app: ports and HAPROXY_ labels; every node that serves it ─▶ task: host and node ports
 *
 * What is told follows from the Services and nodes alone, so a new leader tells the same.
 */
export class MarathonLb implements LoadBalancer {
  readonly #addresses: readonly string[];
  readonly #now: () => number;
  readonly #followers = new Set<(text: string) => void>();
  /** What was last told of each Service, so that only news are told. */
  readonly #told = new Map<string, string>();

  /** `addresses`: IPs or names of the balancers; those of the nodes if there are none. */
  constructor(addresses: readonly string[], now: () => number) {
    this.#addresses = addresses;
    this.#now = now;
  }

  ensure(service: Balanced, hosts: readonly Host[], beside: readonly Balanced[]): Promise<Reached> {
    const key = keyOf(service);
    const holders = portHolders(beside);
    const app = JSON.stringify(appOf(service, hosts, holders));
    if (this.#told.get(key) !== app) this.#tell(key);
    this.#told.set(key, app);
    const addresses = this.#addresses.length > 0 ? this.#addresses : hosts.map(({ address }) => address);
    const ingress = ingressOf(service, addresses.slice(0, mostAddresses), holders);
    return Promise.resolve({ ingress, refusal: refusalOf(service, holders) });
  }

  remove(key: string): Promise<void> {
    if (this.#told.delete(key)) this.#tell(key);
    return Promise.resolve();
  }

  pages(all: () => readonly { service: Balanced; hosts: readonly Host[] }[]): Record<string, Page> {
    return {
      '/v2/apps': {
        method: 'GET',
        answer: () => {
          const balanced = all();
          const holders = portHolders(balanced.map(({ service }) => service));
          return { apps: balanced.map(({ service, hosts }) => appOf(service, hosts, holders)) };
        },
      },
      '/v2/events': {
        method: 'GET',
        most: mostFollowers,
        follow: (follower) => {
          this.#followers.add(follower);
          follower(JSON.stringify({ eventType: 'event_stream_attached' }));
          return () => this.#followers.delete(follower);
        },
      },
    };
  }

  #tell(key: string): void {
    const news = { eventType: 'status_update_event', appId: `/${key}`, timestamp: new Date(this.#now()).toISOString() };
    for (const follower of this.#followers) follower(JSON.stringify(news));
  }
}

function refusalOf(service: Balanced, holders: ReadonlyMap<number, string>): string {
  for (const { port } of service.spec.ports ?? []) {
    const holder = holders.get(port);
    if (holder && holder !== keyOf(service)) return `port ${port} is served for ${holder} already`;
  }
  return 'it has no TCP port with a node port';
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
function portHolders(services: Iterable<Balanced>): ReadonlyMap<number, string> {
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
function portError(service: Balanced, port: ServicePort, holders: ReadonlyMap<number, string>) {
  if (port.protocol !== 'TCP') return 'k8s.mesosphere.io/OnlyTCP';
  if (!port.nodePort) return 'k8s.mesosphere.io/NoNodePort';
  return holders.get(port.port) === keyOf(service) ? undefined : 'k8s.mesosphere.io/PortTaken';
}

/** Where clients reach the Service, or nothing when none of its ports is served. `addresses`: IPs or names of balancers. */
function ingressOf(service: Balanced, addresses: readonly string[], holders: ReadonlyMap<number, string>): Ingress[] {
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
function appOf(service: Balanced, hosts: readonly Host[], holders: ReadonlyMap<number, string>): MarathonApp {
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
