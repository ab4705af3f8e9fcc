import { EndpointSlice } from '../api/kinds/endpoint-slice.ts';
import { Node } from '../api/kinds/node.ts';
import { Service } from '../api/kinds/service.ts';
import { type Stored, keyOf } from '../api/meta.ts';
import { needsHealthCheckPort } from '../api/service-addresses.ts';
import type { Page } from '../client/door.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { equal } from '../lib/equal.ts';
import { type Balanced, type Host, appOf, ingressOf, portHolders } from './common/marathon-lb.ts';

const finalizer = 'service.kubernetes.io/load-balancer-cleanup';
const excludeLabel = 'node.kubernetes.io/exclude-from-external-load-balancers';
const leavingTaint = 'ToBeDeletedByClusterAutoscaler';
const serviceLabel = 'kubernetes.io/service-name';

/** Status names no more agents than this; a balancer in front of them has all. */
const mostAddresses = 32;
/** How many balancers may follow the changes at once. */
const mostFollowers = 64;

export interface ServiceLbOptions {
  /** IPs or names under which the balancers are reached; those of the agents if there are none. */
  loadBalancerAddresses: readonly string[];
  /** Its spec.loadBalancerClass; Services without a class are served too. */
  loadBalancerClass: string;
}

/**
 * Services of type LoadBalancer, told to Marathon-LB as if they were apps of a Marathon:
 *
 *   Service ─▶ app: ports and HAPROXY_ labels; every node that serves it ─▶ task: host and node ports
 *
 * What is told follows from the caches alone, so a new leader tells the same. The finalizer keeps a Service until its
 * status, which clients go by, is cleared.
 */
export const serviceLb =
  ({ loadBalancerAddresses, loadBalancerClass }: ServiceLbOptions) =>
  ({ client, informer, events, now }: World): Reconciler & { pages: Record<string, Page> } => {
    const services = informer(Service);
    const nodes = informer(Node);
    const slices = informer(EndpointSlice, {
      indexes: { serviceName: (slice) => servicesBehind(slice) },
    });
    const followers = new Set<(text: string) => void>();
    /** What was last told of each Service, so that only news are told. */
    const told = new Map<string, { hosts: string; app: string }>();

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

    /** Tells followers what is new. Answers whether its hosts are others than before, undefined where there was no before. */
    function tell(service: Balanced, hosts: readonly Host[], holders: ReadonlyMap<number, string>) {
      const key = keyOf(service);
      const before = told.get(key);
      const current = { hosts: JSON.stringify(hosts), app: JSON.stringify(appOf(service, hosts, holders)) };
      told.set(key, current);
      if (before?.app !== current.app) tellFollowers(key);
      return before && before.hosts !== current.hosts;
    }

    function tellFollowers(key: string): void {
      const news = { eventType: 'status_update_event', appId: `/${key}`, timestamp: new Date(now()).toISOString() };
      for (const follower of followers) follower(JSON.stringify(news));
    }

    async function ensure(service: Balanced, signal: AbortSignal): Promise<void> {
      const { metadata } = service;
      const hosts = hostsOf(service);
      const holders = portHolders(ours());
      const addresses = loadBalancerAddresses.length > 0 ? loadBalancerAddresses : hosts.map(({ address }) => address);
      const ingress = ingressOf(service, addresses.slice(0, mostAddresses), holders);
      const isNew = !metadata.finalizers?.includes(finalizer);
      const hasNewHosts = tell(service, hosts, holders);
      if (isNew) {
        say(service, 'Normal', 'EnsuringLoadBalancer', 'Ensuring load balancer');
        const { resourceVersion } = metadata;
        const finalizers = [...(metadata.finalizers ?? []), finalizer];
        await client.patch(Service, metadata, { metadata: { resourceVersion, finalizers } }, {}, signal);
      }
      if (!equal(service.status?.loadBalancer?.ingress ?? [], ingress)) {
        const status = { loadBalancer: { ingress: ingress.length > 0 ? ingress : null } };
        await client.patch(Service, metadata, { status }, { subresource: 'status' }, signal);
      }
      const taken = (service.spec.ports ?? []).flatMap(({ port }) => {
        const holder = holders.get(port);
        return holder && holder !== keyOf(service) ? [`port ${port} is served for ${holder} already`] : [];
      });
      if (hosts.length === 0 && hasNewHosts !== false)
        say(service, 'Warning', 'UnAvailableLoadBalancer', 'There are no available nodes for LoadBalancer');
      else if (ingress.length === 0 && (isNew || hasNewHosts !== false))
        say(service, 'Warning', 'SyncLoadBalancerFailed', `Error syncing load balancer: ${taken[0] ?? noPort}`);
      else if (isNew) say(service, 'Normal', 'EnsuredLoadBalancer', 'Ensured load balancer');
      else if (hasNewHosts) say(service, 'Normal', 'UpdatedLoadBalancer', 'Updated load balancer with new hosts');
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
      pages: {
        '/v2/apps': {
          method: 'GET',
          answer: () => {
            const holders = portHolders(ours());
            return { apps: ours().map((service) => appOf(service, hostsOf(service), holders)) };
          },
        },
        '/v2/events': {
          method: 'GET',
          most: mostFollowers,
          follow: (follower) => {
            followers.add(follower);
            follower(JSON.stringify({ eventType: 'event_stream_attached' }));
            return () => followers.delete(follower);
          },
        },
      },
      async reconcile(key, signal) {
        const service = services.get(key);
        if (service) await (isOurs(service) ? ensure(service, signal) : remove(service, signal));
        if ((!service || !isOurs(service)) && told.delete(key)) tellFollowers(key);
      },
    };
  };

const noPort = 'it has no TCP port with a node port';

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
