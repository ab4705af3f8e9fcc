import { isIPv6 } from 'node:net';
import { type EndpointAddress, Endpoints } from '../api/kinds/endpoints.ts';
import { EndpointSlice } from '../api/kinds/endpoint-slice.ts';
import { Service } from '../api/kinds/service.ts';
import { type Stored } from '../api/meta.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { controllerReference } from './common/ownership.ts';
import { planSlices } from './common/slice-plan.ts';
import { writeSlices } from './endpoint-slice.ts';

type StoredEndpoints = Endpoints & Stored;

const serviceLabel = 'kubernetes.io/service-name';
const managedLabel = 'endpointslice.kubernetes.io/managed-by';
const manager = 'endpointslicemirroring-controller.k8s.io';

/** Of each subset at most so many addresses are mirrored. */
const perSlice = 1000;

/** Endpoints that somebody made by hand, for a service without selector, as EndpointSlices. */
export function endpointSliceMirroring({ client, informer }: World): Reconciler {
  const endpoints = informer(Endpoints);
  const services = informer(Service);
  const keyOfSlice = ({ metadata: { namespace, labels } }: EndpointSlice): string[] =>
    labels?.[managedLabel] === manager && labels[serviceLabel] ? [`${namespace}/${labels[serviceLabel]}`] : [];
  const slices = informer(EndpointSlice, { indexes: { mirrored: keyOfSlice } });
  return {
    name: 'endpoint-slice-mirroring',
    watches: [watching(endpoints), watching(services), watching(slices, ({ object }) => keyOfSlice(object))],
    async reconcile(key, signal) {
      const source = endpoints.get(key);
      const service = services.get(key);
      const wanted = source && service && isHandMade(source, service) ? mirrorOf(source) : [];
      await writeSlices(client, planSlices(slices.by('mirrored', key), wanted, perSlice), signal);
    },
  };
}

function isHandMade({ metadata }: Endpoints, { spec }: Service): boolean {
  return (
    Object.keys(spec.selector ?? {}).length === 0 &&
    metadata.labels?.['endpointslice.kubernetes.io/skip-mirror'] !== 'true' &&
    metadata.annotations?.['control-plane.alpha.kubernetes.io/leader'] === undefined
  );
}

/** One slice for each subset and family of addresses. */
export function mirrorOf(source: StoredEndpoints): EndpointSlice[] {
  const { name, namespace, labels } = source.metadata;
  const metadata = {
    generateName: `${name}-`,
    namespace: namespace!,
    labels: { ...labels, [serviceLabel]: name, [managedLabel]: manager },
    ownerReferences: [controllerReference(Endpoints, source)],
  };
  return (source.subsets ?? []).flatMap(({ addresses = [], notReadyAddresses = [], ports = [] }) => {
    const all = [
      ...addresses.map((address) => endpointOf(address, true)),
      ...notReadyAddresses.map((address) => endpointOf(address, false)),
    ].slice(0, perSlice);
    const [four, six] = [
      all.filter((one) => !isIPv6(one.addresses[0]!)),
      all.filter((one) => isIPv6(one.addresses[0]!)),
    ];
    const slicePorts = ports.map((port) => ({ ...port, name: port.name ?? '', protocol: port.protocol ?? 'TCP' }));
    const slice = (addressType: 'IPv4' | 'IPv6', endpoints: typeof all): EndpointSlice[] =>
      endpoints.length > 0 ? [{ metadata, addressType, endpoints, ports: slicePorts }] : [];
    return [...slice('IPv4', four), ...slice('IPv6', six)];
  });
}

const endpointOf = ({ ip, hostname, nodeName, targetRef }: EndpointAddress, ready: boolean) => ({
  addresses: [ip],
  conditions: { ready },
  ...(hostname ? { hostname } : {}),
  ...(nodeName ? { nodeName } : {}),
  ...(targetRef ? { targetRef } : {}),
});
