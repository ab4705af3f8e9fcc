import { EndpointSlice } from '../api/kinds/endpoint-slice.ts';
import { Node, zoneLabel } from '../api/kinds/node.ts';
import { Pod } from '../api/kinds/pod.ts';
import { Service } from '../api/kinds/service.ts';
import { type Stored, keyOf, splitKey } from '../api/meta.ts';
import { unlessNotFound } from '../api/status.ts';
import type { Client } from '../client/client.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { controllerReference } from './common/ownership.ts';
import { OwnWrites, unseen } from './common/own-writes.ts';
import {
  type Backend,
  type Family,
  type Reach,
  backendsOf,
  byPorts,
  familiesOf,
  servicesOf,
  targetRef,
} from './common/service-pods.ts';
import { type SlicePlan, planSlices } from './common/slice-plan.ts';
import { hinted } from './common/topology-hints.ts';
import { TriggerTimes, withTrigger } from './common/trigger-times.ts';

type StoredSlice = EndpointSlice & Stored;

const serviceLabel = 'kubernetes.io/service-name';
const managedLabel = 'endpointslice.kubernetes.io/managed-by';
const manager = 'endpointslice-controller.k8s.io';
const headlessLabel = 'service.kubernetes.io/headless';

/** EndpointSlices of services with a selector, of at most `perSlice` endpoints each. */
export const endpointSlices =
  (perSlice: number, reach: Reach) =>
  ({ client, informer, now }: World): Reconciler => {
    const byNamespace = { namespace: (object: Stored) => [object.metadata.namespace ?? ''] };
    const services = informer(Service, { indexes: byNamespace });
    const pods = informer(Pod, { indexes: byNamespace });
    const nodes = informer(Node);
    const serviceKey = ({ metadata: { namespace, labels } }: StoredSlice) =>
      labels?.[managedLabel] === manager && labels[serviceLabel] ? [`${namespace}/${labels[serviceLabel]}`] : [];
    const slices = informer(EndpointSlice, { indexes: { service: serviceKey } });
    const times = new TriggerTimes();
    const own = new OwnWrites(slices, now);
    const zoneOf = (node: string) => nodes.get(node)?.metadata.labels?.[zoneLabel];

    return {
      name: 'endpoint-slice',
      watches: [
        watching(services),
        watching(pods, servicesOf(services)),
        watching(slices, ({ object }) => serviceKey(object)),
        // Endpoints tell the zone of their node.
        watching(nodes, (change) =>
          change.type === 'updated' &&
          change.old.metadata.labels?.[zoneLabel] !== change.object.metadata.labels?.[zoneLabel]
            ? [...services.list()].map(keyOf)
            : [],
        ),
      ],
      async reconcile(key, signal) {
        if (!own.seen(key)) return unseen;
        const service = services.get(key);
        if (!service) times.forget(key);
        const near = pods.by('namespace', splitKey(key).namespace);
        const byFamily = (service?.spec.selector ? familiesOf(service) : []).map((family) => ({
          family,
          backends: backendsOf(service!, near, family, reach),
        }));
        const wanted = byFamily
          .flatMap(({ family, backends }) => slicesOf(service!, backends, family, zoneOf))
          .map((slice) => ({ ...slice, endpoints: hinted(service!, slice.endpoints, [...nodes.list()]) }));
        const plan = planSlices(slices.by('service', key), wanted, perSlice);
        const changed = [...plan.create, ...plan.update];
        if (!service || changed.length === 0) return void (await writeSlices(client, plan, signal));
        const { time, note } = times.news(
          service,
          byFamily.flatMap(({ backends }) => backends.map(({ pod }) => pod)),
        );
        for (const slice of changed) slice.metadata = withTrigger(slice.metadata, time);
        for (const written of await writeSlices(client, plan, signal)) own.note(key, written);
        note();
      },
    };
  };

/** Answers the slices as they are now. */
export async function writeSlices(
  client: Client,
  { create, update, remove }: SlicePlan,
  signal: AbortSignal,
): Promise<StoredSlice[]> {
  const [written] = await Promise.all([
    Promise.all([
      ...create.map((slice) => client.create(EndpointSlice, slice, {}, signal)),
      ...update.map((slice) => client.update(EndpointSlice, slice, {}, signal)),
    ]),
    ...remove.map((slice) => client.delete(EndpointSlice, slice.metadata, {}, signal).catch(unlessNotFound)),
  ]);
  return written;
}

/** What should be there of one family, without names: one slice for each set of ports, however long. Exported for its test. */
export function slicesOf(
  service: Service & Stored,
  backends: readonly Backend[],
  family: Family,
  zoneOf: (node: string) => string | undefined,
): EndpointSlice[] {
  const groups = byPorts(service, backends);
  const metadata = {
    generateName: `${service.metadata.name}-`,
    namespace: service.metadata.namespace!,
    labels: {
      ...service.metadata.labels,
      ...(service.spec.clusterIP === 'None' ? { [headlessLabel]: '' } : {}),
      [serviceLabel]: service.metadata.name,
      [managedLabel]: manager,
    },
    ownerReferences: [controllerReference(Service, service)],
  };
  return (groups.length > 0 ? groups : [{ ports: [], backends: [] }]).map(({ ports, backends: own }) => ({
    metadata: { ...metadata },
    addressType: family,
    endpoints: own.map((backend) => endpointOf(backend, zoneOf)),
    ports: ports.map(({ name, port, protocol, appProtocol }) => ({
      name,
      port,
      protocol,
      ...(appProtocol ? { appProtocol } : {}),
    })),
  }));
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
