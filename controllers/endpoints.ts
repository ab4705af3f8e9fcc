import { equal } from '../lib/equal.ts';
import { type EndpointAddress, Endpoints } from '../api/kinds/endpoints.ts';
import { Pod } from '../api/kinds/pod.ts';
import { Service } from '../api/kinds/service.ts';
import { type Stored, splitKey } from '../api/meta.ts';
import { unlessNotFound } from '../api/status.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import {
  type Backend,
  type Reach,
  backendsOf,
  byPorts,
  familiesOf,
  servicesOf,
  targetRef,
} from './common/service-pods.ts';
import { TriggerTimes, withTrigger } from './common/trigger-times.ts';

/** Endpoints of services with a selector. Those without one are their author's. */
export const endpoints =
  (reach: Reach) =>
  ({ client, informer }: World): Reconciler => {
    const byNamespace = { namespace: (object: Stored) => [object.metadata.namespace ?? ''] };
    const services = informer(Service, { indexes: byNamespace });
    const pods = informer(Pod, { indexes: byNamespace });
    const all = informer(Endpoints);
    const times = new TriggerTimes();
    return {
      name: 'endpoints',
      watches: [watching(services), watching(pods, servicesOf(services)), watching(all)],
      async reconcile(key, signal) {
        const service = services.get(key);
        const current = all.get(key);
        const { namespace, name } = splitKey(key);
        if (!service) {
          times.forget(key);
          if (current?.metadata.labels?.[managedLabel])
            await client.delete(Endpoints, { namespace, name }, {}, signal).catch(unlessNotFound);
          return;
        }
        if (!service.spec.selector || Object.keys(service.spec.selector).length === 0) return;
        const backends = backendsOf(service, pods.by('namespace', namespace), familiesOf(service)[0]!, reach);
        const subsets = subsetsOf(service, backends);
        const labels = labelsOf(service);
        if (current && equal(current.subsets ?? [], subsets) && equal(current.metadata.labels ?? {}, labels)) return;
        const { time, note } = times.news(
          service,
          backends.map(({ pod }) => pod),
        );
        const metadata = withTrigger({ ...(current?.metadata ?? { namespace, name }), labels }, time);
        if (!current) await client.create(Endpoints, { metadata, subsets }, {}, signal);
        else await client.update(Endpoints, { metadata, subsets }, {}, signal);
        note();
      },
    };
  };

const managedLabel = 'endpoints.kubernetes.io/managed-by';

const labelsOf = ({ metadata, spec }: Service): Record<string, string> => ({
  ...metadata.labels,
  ...(spec.clusterIP === 'None' ? { 'service.kubernetes.io/headless': '' } : {}),
  [managedLabel]: 'endpoint-controller',
});

/** Exported for its test: which addresses, ready or not, on which ports. */
export function subsetsOf(service: Service & Stored, backends: readonly Backend[]): NonNullable<Endpoints['subsets']> {
  return byPorts(
    service,
    backends.filter(({ terminating }) => !terminating || service.spec.publishNotReadyAddresses),
  ).map(({ ports, backends: own }) => {
    const ready = own.filter((backend) => backend.ready).map(addressOf);
    const waiting = own.filter((backend) => !backend.ready).map(addressOf);
    return {
      ...(ready.length > 0 ? { addresses: ready } : {}),
      ...(waiting.length > 0 ? { notReadyAddresses: waiting } : {}),
      ...(ports.length > 0
        ? {
            ports: ports.map(({ name, port, protocol, appProtocol }) => ({
              ...(name ? { name } : {}),
              port,
              protocol,
              ...(appProtocol ? { appProtocol } : {}),
            })),
          }
        : {}),
    };
  });
}

function addressOf({ pod, ip }: Backend): EndpointAddress {
  const { hostname, subdomain, nodeName } = pod.spec;
  return {
    ip,
    ...(hostname && subdomain ? { hostname } : {}),
    ...(nodeName ? { nodeName } : {}),
    targetRef: targetRef(pod),
  };
}
