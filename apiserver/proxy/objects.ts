import { BlockList, isIP, isIPv6 } from 'node:net';
import { EndpointSlice } from '../../api/kinds/endpoint-slice.ts';
import { Node } from '../../api/kinds/node.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { Service } from '../../api/kinds/service.ts';
import { badRequest, notFound, StatusError } from '../../api/status.ts';
import { keyIn, type Call } from '../call.ts';
import type { Registry } from '../registry.ts';
import type { KubeletProxy } from '../subresources/kubelet-proxy.ts';
import { agentOf, originOf, type Target } from './target.ts';

/** `https:name:443`; the port of a service may be its name. */
interface Named {
  scheme: string;
  name: string;
  port: string;
}

/**
 * What answers behind a pod, a service or a node.
 *
 *   pods/[scheme:]name[:port]/proxy/…              the pod's address, else its first port
 *   services/[scheme:]name[:port or its name]/proxy/…   one of the service's pods that are ready
 *   nodes/[scheme:]name[:port]/proxy/…             the kubelet, or what else listens on the node
 *
 * Only addresses that pods and nodes have are spoken to, never those of the link and, unless `allowsLoopback`, never this
 * machine's own: https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/
 */
export class ProxiedObjects {
  readonly #registry: Registry;
  readonly #kubelets: KubeletProxy;
  readonly #allowsLoopback: boolean;
  readonly #agent = agentOf({});

  constructor(registry: Registry, kubelets: KubeletProxy, allowsLoopback: boolean) {
    this.#registry = registry;
    this.#kubelets = kubelets;
    this.#allowsLoopback = allowsLoopback;
  }

  /** `url` is the request's own path and query. Throws 400, 404 and 503. */
  async target(call: Call, url: string): Promise<Target> {
    const query = url.includes('?') ? url.slice(url.indexOf('?')) : '';
    const own = url.slice(0, url.length - query.length);
    const prefix = own.slice(0, own.length - call.rest.length);
    const path = clean(call.rest);
    const common = { prefix, headers: { 'x-forwarded-uri': prefix + path } };
    const origin = await this.#origin(call, readName(call));
    if (origin === undefined) return { ...(await this.#kubelets.reach(readName(call).name, path + query)), ...common };
    return {
      ...common,
      origin,
      path: path + query,
      dispatcher: this.#agent,
      unreachable: ({ message }) => unavailable(`error trying to reach service: ${message}`),
    };
  }

  /** Ends connections that are kept open. */
  close(): Promise<void> {
    return this.#agent.destroy();
  }

  /** Undefined: the kubelet itself, which shows its own certificate and asks for ours. */
  async #origin(call: Call, named: Named): Promise<string | undefined> {
    if (call.kind.kind === Node.kind) return this.#ofNode(named);
    const { host, port } = call.kind.kind === Pod.kind ? await this.#ofPod(call, named) : this.#ofService(call, named);
    this.#check(host);
    return originOf(named.scheme, host, port);
  }

  async #ofNode({ scheme, name, port }: Named): Promise<string | undefined> {
    const kubelet = await this.#kubelets.place(name);
    if (port === '' || Number(port) === kubelet.port) return undefined;
    if (isIP(kubelet.host) !== 0) this.#check(kubelet.host);
    return originOf(scheme, kubelet.host, port);
  }

  async #ofPod({ kind, namespace }: Call, { name, port }: Named): Promise<{ host: string; port: string | number }> {
    const entry = await this.#registry.read(kind, keyIn(kind, namespace, name));
    if (!entry) throw notFound(Pod, name);
    const { spec, status } = entry.object as Pod;
    const host = status?.podIP;
    if (!host) throw badRequest(`pod ${name} has no address yet`);
    const first = spec.containers.flatMap(({ ports = [] }) => ports)[0]?.containerPort;
    return { host, port: port || (first ?? '') };
  }

  #ofService({ namespace, name: asked }: Call, { name, port }: Named): { host: string; port: number } {
    const { feed } = this.#registry;
    const service = feed.cache(Service).get(`${namespace}/${name}`)?.object as Service | undefined;
    if (!service) throw notFound(Service, name);
    const numbered = /^\d+$/.test(port);
    const declared = service.spec.ports?.find((one) => one.port === Number(port));
    if (numbered && !declared) throw unavailable(`no service port ${port} found for service "${name}"`);
    const portName = numbered ? (declared!.name ?? '') : port;
    const found = feed
      .cache(EndpointSlice)
      .list(namespace)
      .map(({ object }) => object as EndpointSlice)
      .filter(({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === name)
      .flatMap(({ endpoints, ports }) => {
        const at = ports?.find((one) => (one.name ?? '') === portName)?.port;
        const ready = (endpoints ?? []).filter(({ conditions }) => conditions?.ready !== false);
        return at === undefined
          ? []
          : ready.flatMap(({ addresses, targetRef }) =>
              addresses.filter((host) => this.#isOfPod(namespace, targetRef, host)).map((host) => ({ host, port: at })),
            );
      });
    if (found.length === 0) throw unavailable(`no endpoints available for service "${asked}"`);
    return found[Math.floor(Math.random() * found.length)]!;
  }

  /** Whoever may write endpoints could otherwise make this server ask anything that it reaches. */
  #isOfPod(namespace: string, targetRef: { kind?: string; name?: string } | undefined, host: string): boolean {
    if (targetRef?.kind !== Pod.kind) return false;
    const pod = this.#registry.feed.cache(Pod).get(`${namespace}/${targetRef.name}`)?.object as Pod | undefined;
    return pod?.status?.podIP === host || (pod?.status?.podIPs ?? []).some(({ ip }) => ip === host);
  }

  #check(host: string): void {
    const family = isIPv6(host) ? 'ipv6' : 'ipv4';
    const isLoopback = loopback.check(host, family);
    if (isIP(host) === 0 || refused.check(host, family) || (isLoopback && !this.#allowsLoopback))
      throw badRequest('address not allowed');
  }
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Of nobody, of the link, of many. */
const refused = new BlockList();
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 4],
  ['255.255.255.255', 32],
] as const)
  refused.addSubnet(net, bits, 'ipv4');
refused.addAddress('::', 'ipv6');
refused.addSubnet('fe80::', 10, 'ipv6');
refused.addSubnet('ff00::', 8, 'ipv6');

function readName({ kind, name: id }: Call): Named {
  const [, scheme, name, port] = /^(?:(http|https|):(?=[^:]*:))?([^:]+)(?::([^:]*))?$/.exec(id) ?? [];
  if (!name || !isPort(port ?? '', kind.kind === Service.kind))
    throw badRequest(`invalid ${kind.singular} request ${JSON.stringify(id)}`);
  return { scheme: scheme || 'http', name, port: port ?? '' };
}

/** It becomes part of a URL: nothing but a port may be in it. */
const isPort = (port: string, mayBeName: boolean): boolean =>
  port === '' ||
  (/^\d+$/.test(port) ? Number(port) > 0 && Number(port) < 65_536 : mayBeName && /^[a-z0-9-]+$/.test(port));

/** The path as servers read it: no dots that climb, no doubled slashes, what is no character of URLs escaped. */
const clean = (path: string): string => new URL(`http://host/${path}`).pathname.replace(/\/{2,}/g, '/');

const unavailable = (message: string): StatusError => new StatusError(503, 'ServiceUnavailable', message);
