import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { pipeline } from 'node:stream/promises';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { annotations } from '../../api/kinds/names.ts';
import { Node } from '../../api/kinds/node.ts';
import { Pod, type Container } from '../../api/kinds/pod.ts';
import { badRequest, notFound, StatusError } from '../../api/status.ts';
import { keyIn, type Call } from '../call.ts';
import type { Registry } from '../registry.ts';
import { admitConnection } from './connect.ts';
import type { RawRequest, RawResponse } from '../respond.ts';

/** The certificate by which kubelets know the apiserver. */
export interface KubeletIdentity {
  cert?: string | Buffer;
  key?: string | Buffer;
}

interface Target {
  host: string;
  port: number;
  path: string;
  /** SHA-256 of the only certificate that is accepted, lower-case hex. */
  fingerprint: string;
  node: string;
}

/**
 * logs, exec, attach, port-forward and the node proxy: the apiserver finds the kubelet and passes bytes, it reads none.
 *
 *   kubectl ──TLS──▶ apiserver ──TLS, our client certificate, the node's pinned certificate──▶ kubelet
 */
export class KubeletProxy {
  readonly #registry: Registry;
  readonly #identity: KubeletIdentity;

  constructor(registry: Registry, identity: KubeletIdentity) {
    this.#registry = registry;
    this.#identity = identity;
  }

  /** Requests whose answer is plain HTTP: logs, and what the node proxy serves. */
  async serve(call: Call, request: RawRequest, response: RawResponse): Promise<void> {
    await admitConnection(this.#registry, call);
    const target = await this.#target(call);
    if (!['log', 'proxy'].includes(call.subresource)) throw badRequest('Upgrade request required');
    const answer = await this.#ask(
      target,
      request.method ?? 'GET',
      forwarded(request.headers, true),
      call.body,
      call.signal,
    );
    await relay(answer, response as ServerResponse, call);
  }

  /** The JSON at a path of a node's kubelet; throws a StatusError when it cannot be had. */
  async read(node: string, path: string, signal: AbortSignal): Promise<unknown> {
    const answer = await this.#ask(await this.#reach(node, path), 'GET', {}, Buffer.alloc(0), signal);
    const chunks: Buffer[] = [];
    for await (const chunk of answer) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    if (answer.statusCode !== 200)
      throw new StatusError(
        502,
        undefined,
        `the kubelet of ${node} answered ${answer.statusCode}: ${text.slice(0, 200)}`,
      );
    return JSON.parse(text) as unknown;
  }

  /** Requests that leave HTTP: SPDY or WebSocket, whichever the caller speaks, byte for byte. */
  async upgrade(call: Call, request: IncomingMessage, socket: TLSSocket, head: Buffer): Promise<void> {
    await admitConnection(this.#registry, call);
    const target = await this.#target(call);
    const upstream = httpsRequest(this.#options(target, request.method ?? 'GET', forwarded(request.headers, false)));
    const stop = () => upstream.destroy();
    call.signal.addEventListener('abort', stop, { once: true });
    return new Promise((resolve, reject) => {
      upstream.once('upgrade', (answer, kubelet, early) => {
        socket.write(headOf(answer));
        if (early.length > 0) socket.write(early);
        if (head.length > 0) kubelet.write(head);
        join(socket, kubelet as TLSSocket);
        resolve();
      });
      upstream.once('response', (answer) => {
        socket.write(headOf(answer));
        answer.pipe(socket);
        answer.once('end', () => socket.end());
        resolve();
      });
      upstream.once('error', (error) => reject(unreachable(target, error)));
      upstream.end();
    });
  }

  #ask(target: Target, method: string, headers: Headers, body: Buffer, signal: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const upstream = httpsRequest({ ...this.#options(target, method, headers), signal });
      upstream.once('response', resolve);
      upstream.once('error', (error) => reject(unreachable(target, error)));
      upstream.end(body.length > 0 ? body : undefined);
    });
  }

  #options(target: Target, method: string, headers: Headers): RequestOptions {
    return {
      host: target.host,
      port: target.port,
      path: target.path,
      method,
      headers,
      ...(this.#identity.cert ? { cert: this.#identity.cert } : {}),
      ...(this.#identity.key ? { key: this.#identity.key } : {}),
      // No authority signs kubelets' certificates: the one that its node names is the only one accepted.
      rejectUnauthorized: false,
      createConnection: (options, done) =>
        pinned(options as RequestOptions & { host: string; port: number }, target, done),
    };
  }

  async #target(call: Call): Promise<Target> {
    if (call.kind.plural === Node.plural) return this.#ofNode(call);
    const entry = await this.#registry.read(call.kind, keyIn(call.kind, call.namespace, call.name));
    if (!entry) throw notFound(Pod, call.name);
    const pod = entry.object as Pod;
    const query = new URLSearchParams(call.query);
    const container =
      call.subresource === 'portforward' ? '' : chooseContainer(pod, query.get('container') ?? '', call.name);
    if (!pod.spec.nodeName) throw badRequest(`pod ${call.name} does not have a host assigned`);
    const place = `${encodeURIComponent(call.namespace)}/${encodeURIComponent(call.name)}`;
    query.delete('container');
    const paths: Record<string, string> = {
      log: `/containerLogs/${place}/${container}`,
      exec: `/exec/${place}/${container}`,
      attach: `/attach/${place}/${container}`,
      portforward: `/portForward/${place}`,
    };
    const path = `${paths[call.subresource]}${query.size > 0 ? `?${kubeletQuery(query, call.subresource)}` : ''}`;
    return this.#reach(pod.spec.nodeName, path);
  }

  async #ofNode(call: Call): Promise<Target> {
    const query = call.query.size > 0 ? `?${call.query}` : '';
    return this.#reach(call.name, `/${call.rest}${query}`);
  }

  async #reach(name: string, path: string): Promise<Target> {
    const entry = this.#registry.feed.cache(Node).get(name) ?? (await this.#registry.read(Node as never, name));
    if (!entry) throw notFound(Node, name);
    const node = entry.object as Node;
    const address = (type: string) => node.status?.addresses?.find((one) => one.type === type)?.address;
    const host = address('InternalIP') ?? address('Hostname');
    const port = node.status?.daemonEndpoints?.kubeletEndpoint?.Port;
    const fingerprint = node.metadata.annotations?.[annotations.kubeletCertificate]?.toLowerCase().replaceAll(':', '');
    if (!host || !port) throw unavailable(`the kubelet of node ${name} has not said yet where it listens`);
    if (!fingerprint) throw unavailable(`node ${name} does not say by which certificate its kubelet is known`);
    return { host, port, path, fingerprint, node: name };
  }
}

type Headers = Record<string, string | string[]>;

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

const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const secret = new Set(['authorization', 'cookie', 'host', 'content-length']);

/** The caller's headers without its credentials; an upgrade keeps what asks for it. */
function forwarded(headers: Readonly<Record<string, string | string[] | undefined>>, plain: boolean): Headers {
  const out: Headers = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && !name.startsWith(':') && !secret.has(name) && !(plain && hopByHop.has(name)))
      out[name] = value;
  return out;
}

function headOf(answer: IncomingMessage): string {
  const lines = [`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}`];
  for (let i = 0; i < answer.rawHeaders.length; i += 2) {
    if (answer.statusCode !== 101 && answer.rawHeaders[i]!.toLowerCase() === 'transfer-encoding') continue;
    lines.push(`${answer.rawHeaders[i]}: ${answer.rawHeaders[i + 1]}`);
  }
  return `${lines.join('\r\n')}\r\n\r\n`;
}

function join(client: TLSSocket, kubelet: TLSSocket): void {
  client.setNoDelay(true);
  kubelet.setNoDelay(true);
  client.setTimeout(0);
  kubelet.setTimeout(0);
  client.pipe(kubelet);
  kubelet.pipe(client);
  for (const [one, other] of [
    [client, kubelet],
    [kubelet, client],
  ] as const) {
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroy());
  }
}

async function relay(answer: IncomingMessage, response: ServerResponse, call: Call): Promise<void> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(answer.headers))
    if (value !== undefined && !hopByHop.has(name)) headers[name] = value;
  response.writeHead(answer.statusCode ?? 502, headers);
  response.flushHeaders();
  call.signal.addEventListener('abort', () => answer.destroy(), { once: true });
  try {
    await pipeline(answer, response);
  } catch (error) {
    // One of the two hung up: the other has been closed with it, there is nobody left to tell.
    if (!response.destroyed) throw error;
  }
}

/** A TLS connection that is handed out only after the server has shown the node's certificate. */
function pinned(
  options: RequestOptions & { host: string; port: number },
  target: Target,
  done: (error: Error | null, socket: TLSSocket) => void,
): undefined {
  const { host, port } = target;
  const { cert, key } = options;
  const socket = connectTls({
    host,
    port,
    rejectUnauthorized: false,
    ALPNProtocols: ['http/1.1'],
    ...(cert ? { cert } : {}),
    ...(key ? { key } : {}),
    timeout: connectTimeoutMs,
  });
  const fail = (error: Error) => {
    socket.destroy();
    done(error, socket);
  };
  socket.once('error', fail);
  socket.once('timeout', () => fail(new Error('no answer in time')));
  socket.once('secureConnect', () => {
    socket.setTimeout(0);
    const shown = socket.getPeerX509Certificate();
    const digest = shown && createHash('sha256').update(shown.raw).digest('hex');
    if (digest !== target.fingerprint)
      return fail(new Error(`it shows another certificate than node ${target.node} names`));
    socket.off('error', fail);
    done(null, socket);
  });
  return undefined;
}

const connectTimeoutMs = 10_000;

const unavailable = (message: string): StatusError => new StatusError(503, 'ServiceUnavailable', message);

const unreachable = ({ host, port, path, node }: Target, error: Error): StatusError =>
  new StatusError(
    502,
    'InternalError',
    `error dialing the kubelet of node ${node}: GET "https://${host}:${port}${path}": ${error.message}`,
    { causes: [{ message: error.message }] },
  );
