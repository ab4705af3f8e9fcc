import { equal } from '../lib/equal.ts';
import { EndpointSlice } from '../api/kinds/endpoint-slice.ts';
import { Node } from '../api/kinds/node.ts';
import { Pod } from '../api/kinds/pod.ts';
import { Service } from '../api/kinds/service.ts';
import { type Stored, splitKey } from '../api/meta.ts';
import { isNotFound } from '../api/status.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { controllerReference } from './common/ownership.ts';
import { type Backend, backendsOf, byPorts, servicesOf, targetRef } from './common/service-pods.ts';

type StoredSlice = EndpointSlice & Stored;

const serviceLabel = 'kubernetes.io/service-name';
const managedLabel = 'endpointslice.kubernetes.io/managed-by';
const manager = 'endpointslice-controller.k8s.io';

/** A slice holds at most so many endpoints. */
const perSlice = 100;

/** EndpointSlices of services with a selector. */
export function endpointSlices({ client, informer }: World): Reconciler {
  const byNamespace = { namespace: (object: Stored) => [object.metadata.namespace ?? ''] };
  const services = informer(Service, { indexes: byNamespace });
  const pods = informer(Pod, { indexes: byNamespace });
  const nodes = informer(Node);
  const serviceKey = ({ metadata: { namespace, labels } }: StoredSlice) =>
    labels?.[managedLabel] === manager && labels[serviceLabel] ? [`${namespace}/${labels[serviceLabel]}`] : [];
  const slices = informer(EndpointSlice, { indexes: { service: serviceKey } });

  return {
    name: 'endpoint-slice',
    watches: [
      watching(services),
      watching(pods, servicesOf(services)),
      watching(slices, ({ object }) => serviceKey(object)),
    ],
    async reconcile(key, signal) {
      const service = services.get(key);
      const existing = slices.by('service', key);
      const wanted = service?.spec.selector
        ? slicesOf(service, pods.by('namespace', splitKey(key).namespace), zoneOf)
        : [];
      const { create, update, remove } = planSlices(existing, wanted);
      await Promise.all([
        ...create.map((slice) => client.create(EndpointSlice, slice, {}, signal)),
        ...update.map((slice) => client.update(EndpointSlice, slice, {}, signal)),
        ...remove.map((slice) => client.delete(EndpointSlice, slice.metadata, {}, signal).catch(ignoreAbsence)),
      ]);
    },
  };

  function zoneOf(node: string): string | undefined {
    return nodes.get(node)?.metadata.labels?.['topology.kubernetes.io/zone'];
  }
}

function ignoreAbsence(error: unknown): void {
  if (!isNotFound(error)) throw error;
}

/** What should be there, without names. Exported for its test. */
export function slicesOf(
  service: Service & Stored,
  pods: readonly (Pod & Stored)[],
  zoneOf: (node: string) => string | undefined,
): EndpointSlice[] {
  const groups = byPorts(service, backendsOf(service, pods));
  const owner = controllerReference(Service, service);
  const metadata = {
    generateName: `${service.metadata.name}-`,
    namespace: service.metadata.namespace!,
    labels: { ...service.metadata.labels, [serviceLabel]: service.metadata.name, [managedLabel]: manager },
    ownerReferences: [owner],
  };
  const all = (groups.length > 0 ? groups : [{ ports: [], backends: [] }]).flatMap(({ ports, backends }) => {
    const slicePorts = ports.map(({ name, port, protocol, appProtocol }) => ({
      name,
      port,
      protocol,
      ...(appProtocol ? { appProtocol } : {}),
    }));
    const pages: EndpointSlice[] = [];
    for (let at = 0; at === 0 || at < backends.length; at += perSlice)
      pages.push({
        metadata,
        addressType: 'IPv4',
        endpoints: backends.slice(at, at + perSlice).map((backend) => endpointOf(backend, zoneOf)),
        ports: slicePorts,
      });
    return pages;
  });
  return all;
}

function endpointOf({ pod, ip, ready, serving, terminating }: Backend, zoneOf: (node: string) => string | undefined) {
  const { hostname, subdomain, nodeName } = pod.spec;
  const zone = nodeName ? zoneOf(nodeName) : undefined;
  return {
    addresses: [ip],
    conditions: { ready, serving, terminating },
    ...(hostname && subdomain ? { hostname } : {}),
    ...(nodeName ? { nodeName } : {}),
    ...(zone ? { zone } : {}),
    targetRef: targetRef(pod),
  };
}

/**
 * Existing slices are filled anew in order, each with addresses of the family that it has; what is left over goes. Exported
 * for its test.
 */
export function planSlices(existing: readonly StoredSlice[], wanted: readonly EndpointSlice[]) {
  const spare = [...existing].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  const create: EndpointSlice[] = [];
  const update: StoredSlice[] = [];
  for (const slice of wanted) {
    const at = spare.findIndex(({ addressType }) => addressType === slice.addressType);
    const [old] = at < 0 ? [] : spare.splice(at, 1);
    const same = old && equal(old.endpoints, slice.endpoints) && equal(old.ports ?? [], slice.ports ?? []);
    if (!old) create.push(slice);
    else if (!same) update.push({ ...old, endpoints: slice.endpoints, ports: slice.ports ?? [] });
  }
  return { create, update, remove: spare };
}
