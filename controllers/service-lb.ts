import { EndpointSlice } from '../api/kinds/endpoint-slice.ts';
import { Node } from '../api/kinds/node.ts';
import { Service } from '../api/kinds/service.ts';
import { type Stored, keyOf } from '../api/meta.ts';
import { needsHealthCheckPort } from '../api/service-addresses.ts';
import type { Page } from '../client/door.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { equal } from '../lib/equal.ts';
import type { Balanced, Host, LoadBalancer } from './common/load-balancer.ts';

const finalizer = 'service.kubernetes.io/load-balancer-cleanup';
const excludeLabel = 'node.kubernetes.io/exclude-from-external-load-balancers';
const leavingTaint = 'ToBeDeletedByClusterAutoscaler';
const serviceLabel = 'kubernetes.io/service-name';

export interface ServiceLbOptions {
  /** Its spec.loadBalancerClass; Services without a class are served too. */
  loadBalancerClass: string;
}

/**
 * Services of type LoadBalancer, served by a balancer through the node ports of ready nodes. The finalizer keeps a Service
 * until its balancer has let go of it and its status, which clients go by, is cleared.
 */
export const serviceLb =
  (balancer: LoadBalancer, { loadBalancerClass }: ServiceLbOptions) =>
  ({ client, informer, events }: World): Reconciler & { pages: Record<string, Page> } => {
    const services = informer(Service);
    const nodes = informer(Node);
    const slices = informer(EndpointSlice, {
      indexes: { serviceName: (slice) => servicesBehind(slice) },
    });
    /** The hosts that each Service had last. */
    const served = new Map<string, string>();

    const isOurs = ({ spec, metadata }: Balanced) =>
      spec.type === 'LoadBalancer' &&
      (spec.loadBalancerClass ?? loadBalancerClass) === loadBalancerClass &&
      !metadata.deletionTimestamp;
    const ours = () => [...services.list()].filter(isOurs);
    const hostsOf = (service: Balanced): Host[] => {
      const all = [...nodes.list()].flatMap((node) => hostOf(node) ?? []).sort((a, b) => (a.name < b.name ? -1 : 1));
      if (!needsHealthCheckPort(service.spec)) return all;
      const ready = slices
        .by('serviceName', keyOf(service))
        .flatMap(({ endpoints }) => endpoints.filter(({ conditions }) => conditions?.ready !== false));
      const serving = new Set(ready.map(({ nodeName }) => nodeName));
      return all.filter(({ name }) => serving.has(name));
    };
    const isLocal = (key: string) => {
      const service = services.get(key);
      return service !== undefined && isOurs(service) && needsHealthCheckPort(service.spec);
    };

    const say = ({ metadata }: Balanced, type: 'Normal' | 'Warning', reason: string, words: string) =>
      events.record({ apiVersion: Service.apiVersion, kind: Service.kind, metadata }, type, reason, words);

    /** Whether its hosts are others than before; undefined where there was no before. */
    function hasNewHosts(key: string, hosts: readonly Host[]): boolean | undefined {
      const before = served.get(key);
      const current = JSON.stringify(hosts);
      served.set(key, current);
      return before === undefined ? undefined : before !== current;
    }

    async function ensure(service: Balanced, signal: AbortSignal): Promise<void> {
      const { metadata } = service;
      const hosts = hostsOf(service);
      const isNew = !metadata.finalizers?.includes(finalizer);
      if (isNew) {
        say(service, 'Normal', 'EnsuringLoadBalancer', 'Ensuring load balancer');
        const { resourceVersion } = metadata;
        const finalizers = [...(metadata.finalizers ?? []), finalizer];
        await client.patch(Service, metadata, { metadata: { resourceVersion, finalizers } }, {}, signal);
      }
      const { ingress, refusal } = await balancer.ensure(service, hosts, ours());
      if (!equal(service.status?.loadBalancer?.ingress ?? [], ingress)) {
        const status = { loadBalancer: { ingress: ingress.length > 0 ? ingress : null } };
        await client.patch(Service, metadata, { status }, { subresource: 'status' }, signal);
      }
      const isOther = hasNewHosts(keyOf(service), hosts);
      if (hosts.length === 0 && isOther !== false)
        say(service, 'Warning', 'UnAvailableLoadBalancer', 'There are no available nodes for LoadBalancer');
      else if (ingress.length === 0 && (isNew || isOther !== false))
        say(service, 'Warning', 'SyncLoadBalancerFailed', `Error syncing load balancer: ${refusal}`);
      else if (isNew) say(service, 'Normal', 'EnsuredLoadBalancer', 'Ensured load balancer');
      else if (isOther) say(service, 'Normal', 'UpdatedLoadBalancer', 'Updated load balancer with new hosts');
    }

    async function remove(service: Balanced, signal: AbortSignal): Promise<void> {
      const { metadata, spec } = service;
      if (!metadata.finalizers?.includes(finalizer)) return;
      // Another class is another controller's, and so is its finalizer.
      if (spec.type === 'LoadBalancer' && spec.loadBalancerClass && spec.loadBalancerClass !== loadBalancerClass)
        return;
      say(service, 'Normal', 'DeletingLoadBalancer', 'Deleting load balancer');
      if (service.status?.loadBalancer?.ingress?.length)
        await client.patch(
          Service,
          metadata,
          { status: { loadBalancer: { ingress: null } } },
          { subresource: 'status' },
          signal,
        );
      const current = await client.get(Service, metadata, signal);
      const { resourceVersion } = current.metadata;
      const left = (current.metadata.finalizers ?? []).filter((name) => name !== finalizer);
      const finalizers = left.length > 0 ? left : null;
      await client.patch(Service, metadata, { metadata: { resourceVersion, finalizers } }, {}, signal);
      say(service, 'Normal', 'DeletedLoadBalancer', 'Deleted load balancer');
    }

    return {
      name: 'service-lb',
      watches: [
        watching(services, (change) => {
          // Ports that others wait for may have come free.
          const both = change.type === 'updated' ? [change.object, change.old] : [change.object];
          const others = ours().filter((service) => both.some((one) => isBeside(service, one)));
          return [keyOf(change.object), ...others.map(keyOf)];
        }),
        watching(nodes, (change) =>
          change.type === 'updated' && equal(hostOf(change.old), hostOf(change.object)) ? [] : ours().map(keyOf),
        ),
        watching(slices, ({ object }) => servicesBehind(object).filter(isLocal)),
      ],
      pages: balancer.pages(() => ours().map((service) => ({ service, hosts: hostsOf(service) }))),
      async reconcile(key, signal) {
        const service = services.get(key);
        if (service && isOurs(service)) return ensure(service, signal);
        served.delete(key);
        await balancer.remove(key);
        if (service) await remove(service, signal);
      },
    };
  };

const servicesBehind = ({ metadata: { namespace, labels } }: EndpointSlice): string[] =>
  labels?.[serviceLabel] ? [`${namespace}/${labels[serviceLabel]}`] : [];

/** Whether they want a port in common. */
function isBeside(a: Balanced, b: Balanced): boolean {
  const ports = new Set((b.spec.ports ?? []).map(({ port }) => port));
  return a.metadata.uid !== b.metadata.uid && (a.spec.ports ?? []).some(({ port }) => ports.has(port));
}

/** How a balancer reaches the node, if it may: https://kubernetes.io/docs/reference/labels-annotations-taints/ */
function hostOf({ metadata, spec, status }: Node & Stored): Host | undefined {
  const isReady = status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True');
  const isLeft = metadata.labels?.[excludeLabel] !== undefined || metadata.deletionTimestamp !== undefined;
  if (!isReady || isLeft || spec?.taints?.some(({ key }) => key === leavingTaint)) return undefined;
  const of = (type: string) => status?.addresses?.find((one) => one.type === type)?.address;
  const address = of('InternalIP') ?? of('ExternalIP') ?? of('Hostname');
  return address ? { name: metadata.name, address } : undefined;
}
