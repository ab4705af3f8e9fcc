import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { badRequest } from '../../api/status.ts';
import type { Call } from '../call.ts';
import type { ProxiedObjects } from '../proxy/objects.ts';
import { passOn } from '../proxy/pass-on.ts';
import { passUpgrade } from '../proxy/pass-upgrade.ts';
import type { Target } from '../proxy/target.ts';
import type { Registry } from '../registry.ts';
import type { RawRequest, RawResponse } from '../respond.ts';
import { admitConnection } from './connect.ts';
import type { KubeletProxy } from './kubelet-proxy.ts';
import { openLogSocket } from './log-socket.ts';

/** log, exec, attach, portforward, proxy: the server finds who answers and passes bytes, it reads none. */
export class Connections {
  readonly #registry: Registry;
  readonly #kubelets: KubeletProxy;
  readonly #objects: ProxiedObjects;

  constructor(registry: Registry, kubelets: KubeletProxy, objects: ProxiedObjects) {
    this.#registry = registry;
    this.#kubelets = kubelets;
    this.#objects = objects;
  }

  /** Requests whose answer is plain HTTP. */
  async serve(call: Call, request: RawRequest, response: RawResponse): Promise<void> {
    const isProxy = call.subresource === 'proxy';
    const target = await this.#target(call, request);
    if (isProxy && call.rest === '' && ['GET', 'HEAD'].includes(call.method)) return toRoot(request, response);
    if (!isProxy && call.subresource !== 'log') throw badRequest('Upgrade request required');
    if (!target) return void (response as ServerResponse).writeHead(204).end();
    await passOn(target, request, response, call.signal);
  }

  /** Requests that leave HTTP. */
  async upgrade(call: Call, request: IncomingMessage, socket: TLSSocket, head: Buffer): Promise<void> {
    const target = await this.#target(call, request);
    if (!target) throw badRequest(`pod ${call.name} does not have a host assigned`);
    if (call.subresource === 'log') return openLogSocket(target, request, socket, head, call.signal);
    await passUpgrade(target, request, socket, head, call.signal);
  }

  async #target(call: Call, request: RawRequest): Promise<Target | undefined> {
    await admitConnection(this.#registry, call);
    return call.subresource === 'proxy' ? this.#objects.target(call, request.url!) : this.#kubelets.ofPod(call);
  }
}

/** Relative links of a page are read from its slash. */
function toRoot(request: RawRequest, response: RawResponse): void {
  const [path, ...query] = request.url!.split('?');
  const location = [`${path}/`, ...query].join('?');
  (response as ServerResponse).writeHead(301, { location }).end();
}
