import { isIPv4, isIPv6 } from 'node:net';
import { hostPortOf } from '../../api/host-ports.ts';
import { type Pod, isTerminal } from '../../api/kinds/pod.ts';
import type { Service, ServicePort } from '../../api/kinds/service.ts';
import { type Stored, keyOf } from '../../api/meta.ts';
import type { Change, Informer } from '../../client/informer.ts';
import { isReady } from './pods.ts';

type StoredPod = Pod & Stored;
type StoredService = Service & Stored;

/** Where one pod serves, for one port of a service. */
export interface Backend {
  pod: StoredPod;
  ip: string;
  /** Address of its node, where ports of the node may lead to it. */
  host?: string | undefined;
  ready: boolean;
  serving: boolean;
  terminating: boolean;
}

/** A service's port as its pods have it; pods may have a named port under different numbers. */
export interface BackendPort {
  name: string;
  port: number;
  protocol: string;
  appProtocol: string | undefined;
}

const selects = (service: Service, labels: Record<string, string> | undefined): boolean => {
  const selector = Object.entries(service.spec.selector ?? {});
  return selector.length > 0 && selector.every(([key, value]) => labels?.[key] === value);
};

/** Keys of the services that select the changed pod, or did. */
export function servicesOf(services: Informer<Service>): (change: Change<StoredPod>) => string[] {
  return (change) => {
    const labels = [change.object.metadata.labels, ...(change.type === 'updated' ? [change.old.metadata.labels] : [])];
    const keys = new Set<string>();
    for (const service of services.by('namespace', change.object.metadata.namespace ?? ''))
      if (labels.some((set) => selects(service, set))) keys.add(keyOf(service));
    return [...keys];
  };
}

/** How Services lead to pods: by addresses of their own, or by ports of their nodes where they have such. */
export type Reach = 'pods' | 'hosts';

export type Family = 'IPv4' | 'IPv6';

/** Of its addresses, the first being that of its Endpoints. */
export const familiesOf = ({ spec }: Service): readonly Family[] =>
  spec.ipFamilies?.length ? (spec.ipFamilies as Family[]) : ['IPv4'];

const ofFamily = (ips: readonly { ip: string }[] | undefined, only: string | undefined, family: Family) =>
  (ips ?? (only ? [{ ip: only }] : [])).find(({ ip }) => (family === 'IPv6' ? isIPv6(ip) : isIPv4(ip)))?.ip;

/** Pods with an address of the family that the service selects, in the order of their names. */
export function backendsOf(
  service: StoredService,
  pods: readonly StoredPod[],
  family: Family,
  reach: Reach = 'pods',
): Backend[] {
  return pods
    .filter((pod) => selects(service, pod.metadata.labels) && !isTerminal(pod))
    .flatMap((pod) => {
      const { podIP, podIPs, hostIP, hostIPs } = pod.status ?? {};
      const ip = ofFamily(podIPs, podIP, family);
      if (ip === undefined) return [];
      const terminating = pod.metadata.deletionTimestamp !== undefined;
      const serving = isReady(pod);
      const ready = service.spec.publishNotReadyAddresses === true || (serving && !terminating);
      const host = reach === 'hosts' ? ofFamily(hostIPs, hostIP, family) : undefined;
      return [{ pod, ip, host, ready, serving, terminating }];
    })
    .sort((a, b) => (a.pod.metadata.name < b.pod.metadata.name ? -1 : 1));
}

/** Backends grouped by the ports they serve on: one group unless a named port, or a port of the host, differs between pods. */
export function byPorts(
  service: StoredService,
  backends: readonly Backend[],
): { ports: BackendPort[]; backends: Backend[] }[] {
  const groups = new Map<string, { ports: BackendPort[]; backends: Backend[] }>();
  for (const backend of backends) {
    const own = (service.spec.ports ?? []).flatMap((port) => targetOf(port, backend.pod) ?? []);
    if (own.length === 0 && service.spec.ports?.length) continue;
    const { ports, reached } = throughHost(backend, own) ?? { ports: own, reached: backend };
    const key = JSON.stringify(ports);
    const group = groups.get(key);
    if (group) group.backends.push(reached);
    else groups.set(key, { ports, backends: [reached] });
  }
  return [...groups.values()];
}

/** By ports of its node; undefined unless they lead to all of those. */
function throughHost(backend: Backend, ports: readonly BackendPort[]) {
  const { pod, host } = backend;
  if (!host || ports.length === 0) return undefined;
  const declared = pod.spec.containers.flatMap((container) => container.ports ?? []);
  const led = ports.flatMap(({ port, ...rest }) => {
    const found = declared.find((one) => one.containerPort === port && (one.protocol ?? 'TCP') === rest.protocol);
    const number = found && hostPortOf(pod, found);
    return number === undefined ? [] : [{ ...rest, port: number }];
  });
  return led.length === ports.length ? { ports: led, reached: { ...backend, ip: host } } : undefined;
}

function targetOf(
  { name = '', port, targetPort = port, protocol = 'TCP', appProtocol }: ServicePort,
  pod: Pod,
): BackendPort | undefined {
  const number = typeof targetPort === 'number' ? targetPort : namedPort(pod, targetPort, protocol);
  return number === undefined ? undefined : { name, port: number, protocol, appProtocol };
}

function namedPort(pod: Pod, name: string, protocol: string): number | undefined {
  for (const { ports } of pod.spec.containers)
    for (const port of ports ?? [])
      if (port.name === name && (port.protocol ?? 'TCP') === protocol) return port.containerPort;
  return undefined;
}

export function targetRef({ metadata: { name, namespace, uid } }: StoredPod) {
  return { kind: 'Pod', name, uid, ...(namespace ? { namespace } : {}) };
}
