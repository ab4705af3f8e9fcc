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

/** Pods with an address that the service selects, in the order of their names. */
export function backendsOf(service: StoredService, pods: readonly StoredPod[]): Backend[] {
  return pods
    .filter((pod) => selects(service, pod.metadata.labels) && pod.status?.podIP && !isTerminal(pod))
    .map((pod) => {
      const terminating = pod.metadata.deletionTimestamp !== undefined;
      const serving = isReady(pod);
      const ready = service.spec.publishNotReadyAddresses === true || (serving && !terminating);
      return { pod, ip: pod.status!.podIP!, ready, serving, terminating };
    })
    .sort((a, b) => (a.pod.metadata.name < b.pod.metadata.name ? -1 : 1));
}

/** Backends grouped by the ports they serve on: one group unless a named port differs between pods. */
export function byPorts(
  service: StoredService,
  backends: readonly Backend[],
): { ports: BackendPort[]; backends: Backend[] }[] {
  const groups = new Map<string, { ports: BackendPort[]; backends: Backend[] }>();
  for (const backend of backends) {
    const ports = (service.spec.ports ?? []).flatMap((port) => targetOf(port, backend.pod) ?? []);
    if (ports.length === 0 && service.spec.ports?.length) continue;
    const key = JSON.stringify(ports);
    const group = groups.get(key);
    if (group) group.backends.push(backend);
    else groups.set(key, { ports, backends: [backend] });
  }
  return [...groups.values()];
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
