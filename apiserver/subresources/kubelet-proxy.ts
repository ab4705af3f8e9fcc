import { createHash } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { annotations } from '../../api/kinds/names.ts';
import { Node } from '../../api/kinds/node.ts';
import { Pod, type Container } from '../../api/kinds/pod.ts';
import { badRequest, notFound, StatusError } from '../../api/status.ts';
import { commonNameOf } from '../auth/certificates.ts';
import { keyIn, type Call } from '../call.ts';
import { agentOf, originOf, type Check, type Target } from '../proxy/target.ts';
import type { Registry } from '../registry.ts';
import { Agents } from '../webhooks/agents.ts';

/** The certificate by which kubelets know the apiserver, and the CA by which it knows them. */
export interface KubeletIdentity {
  cert?: string | Buffer | undefined;
  key?: string | Buffer | undefined;
  /** PEM; without it each is known by the fingerprints in its Node. */
  ca?: string | Buffer | undefined;
}

/** Where a node's kubelet listens, as its Node says. */
export interface KubeletPlace {
  host: string;
  port: number;
  /** SHA-256 of the only certificates that are accepted, lower-case hex; where a CA tells kubelets there may be none. */
  fingerprints: readonly string[];
}

/**
 * Finds the kubelet for logs, exec, attach, port-forward and the node proxy; what is asked of it passes through unread.
 *
 *   kubectl ──TLS──▶ apiserver ──TLS, our client certificate, the node's pinned or signed certificate──▶ kubelet
 */
export class KubeletProxy {
  readonly #registry: Registry;
  readonly #identity: KubeletIdentity;
  readonly #agents = new Agents();

  constructor(registry: Registry, identity: KubeletIdentity) {
    this.#registry = registry;
    this.#identity = identity;
  }

  /** The JSON at a path of a node's kubelet; throws a StatusError when it cannot be had. */
  async read(node: string, path: string, signal: AbortSignal): Promise<unknown> {
    const { origin, dispatcher, unreachable } = await this.reach(node, path);
    const answer = await dispatcher.request({ origin, path, method: 'GET', signal }).catch((error: unknown) => {
      throw unreachable(error as Error);
    });
    const text = await answer.body.text();
    if (answer.statusCode !== 200)
      throw new StatusError(
        502,
        undefined,
        `the kubelet of ${node} answered ${answer.statusCode}: ${text.slice(0, 200)}`,
      );
    return JSON.parse(text) as unknown;
  }

  /** Where a call on a pod's log or streams leads; undefined for the log of a pod without a node, which is empty. */
  async ofPod(call: Call): Promise<Target | undefined> {
    const entry = await this.#registry.read(call.kind, keyIn(call.kind, call.namespace, call.name));
    if (!entry) throw notFound(Pod, call.name);
    const pod = entry.object as Pod;
    const query = new URLSearchParams(call.query);
    const container =
      call.subresource === 'portforward' ? '' : chooseContainer(pod, query.get('container') ?? '', call.name);
    if (!pod.spec.nodeName) {
      if (call.subresource === 'log') return undefined;
      throw badRequest(`pod ${call.name} does not have a host assigned`);
    }
    const place = `${encodeURIComponent(call.namespace)}/${encodeURIComponent(call.name)}`;
    query.delete('container');
    const paths: Record<string, string> = {
      log: `/containerLogs/${place}/${container}`,
      exec: `/exec/${place}/${container}`,
      attach: `/attach/${place}/${container}`,
      portforward: `/portForward/${place}`,
    };
    const path = `${paths[call.subresource]}${query.size > 0 ? `?${kubeletQuery(query, call.subresource)}` : ''}`;
    return this.reach(pod.spec.nodeName, path);
  }

  /** A path of a node's kubelet. */
  async reach(name: string, path: string): Promise<Target> {
    const { host, port, fingerprints } = await this.place(name);
    const origin = originOf('https', host, port);
    const isOfNode = this.#identity.ca ? signedFor(name) : pinned(fingerprints, name);
    return {
      origin,
      path,
      dispatcher: this.#agents.get(`${origin} ${name} ${fingerprints.join()}`, () => agentOf(this.#identity, isOfNode)),
      unreachable: (error) => unreachable(name, `${origin}${path}`, error),
    };
  }

  /** Throws 404 and 503. */
  async place(name: string): Promise<KubeletPlace> {
    const entry = this.#registry.feed.cache(Node).get(name) ?? (await this.#registry.read(Node as never, name));
    if (!entry) throw notFound(Node, name);
    const node = entry.object as Node;
    const address = (type: string) => node.status?.addresses?.find((one) => one.type === type)?.address;
    const host = address('InternalIP') ?? address('Hostname');
    const port = node.status?.daemonEndpoints?.kubeletEndpoint?.Port;
    const told = node.metadata.annotations?.[annotations.kubeletCertificate]?.toLowerCase().replaceAll(':', '');
    const fingerprints = told ? told.split(',') : [];
    if (!host || !port) throw unavailable(`the kubelet of node ${name} has not said yet where it listens`);
    if (fingerprints.length === 0 && !this.#identity.ca)
      throw unavailable(`node ${name} does not say by which certificate its kubelet is known`);
    return { host, port, fingerprints };
  }
  /** Ends connections that are kept open. */
  close(): Promise<void> {
    return this.#agents.destroy();
  }
}

/** kubelet calls the streams of exec and attach by other names than the API. */
function kubeletQuery(query: URLSearchParams, subresource: string): string {
  if (subresource !== 'exec' && subresource !== 'attach') return query.toString();
  const names: Record<string, string> = { stdin: 'input', stdout: 'output', stderr: 'error', tty: 'tty' };
  const out = new URLSearchParams();
  for (const [key, value] of query) {
    const isStream = Object.hasOwn(names, key);
    if (!isStream) out.append(key, value);
    else if (value === 'true' || value === '1') out.append(names[key]!, '1');
  }
  return out.toString();
}

function chooseContainer(pod: Pod, asked: string, name: string): string {
  const all: readonly Container[] = [
    ...(pod.spec.containers ?? []),
    ...(pod.spec.initContainers ?? []),
    ...(pod.spec.ephemeralContainers ?? []),
  ];
  if (asked) {
    if (!all.some((container) => container.name === asked))
      throw badRequest(`container ${asked} is not valid for pod ${name}`);
    return encodeURIComponent(asked);
  }
  const preferred = pod.metadata.annotations?.['kubectl.kubernetes.io/default-container'];
  if (preferred && all.some((container) => container.name === preferred)) return encodeURIComponent(preferred);
  if (pod.spec.containers.length === 1) return encodeURIComponent(pod.spec.containers[0]!.name);
  const names = (containers: readonly Container[] | undefined) =>
    (containers ?? []).map((container) => container.name).join(' ');
  const init = pod.spec.initContainers?.length
    ? ` or one of the init containers: [${names(pod.spec.initContainers)}]`
    : '';
  throw badRequest(
    `a container name must be specified for pod ${name}, choose one of: [${names(pod.spec.containers)}]${init}`,
  );
}

/** What the node names is accepted, whoever signed it: a node writes its own Node alone. */
const pinned =
  (fingerprints: readonly string[], node: string): Check =>
  (socket) => {
    const shown = (socket as TLSSocket).getPeerX509Certificate();
    const digest = shown && createHash('sha256').update(shown.raw).digest('hex');
    if (digest && fingerprints.includes(digest)) return undefined;
    return new Error(`it shows another certificate than node ${node} names`);
  };

/** What the CA signed is accepted, for the address that was dialled. A node says its addresses itself, its name it does not. */
const signedFor =
  (node: string): Check =>
  (socket) => {
    const { authorized, authorizationError } = socket as TLSSocket;
    if (!authorized) return new Error(`its certificate is not good: ${String(authorizationError)}`);
    const shown = (socket as TLSSocket).getPeerX509Certificate();
    return shown && commonNameOf(shown) === `system:node:${node}`
      ? undefined
      : new Error(`its certificate is not that of node ${node}`);
  };

const unavailable = (message: string): StatusError => new StatusError(503, 'ServiceUnavailable', message);

const unreachable = (node: string, url: string, { message }: Error): StatusError =>
  new StatusError(502, 'InternalError', `error dialing the kubelet of node ${node}: GET "${url}": ${message}`, {
    causes: [{ message }],
  });
