import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { StatusError } from '../api/status.ts';
import type { KeyPair } from '../lib/certs.ts';
import type { Logger } from '../lib/log.ts';
import type { Access } from './access.ts';
import { type ContainerPath, answerLogs } from './log-requests.ts';
import { type NodeFacts, answerNode } from './node-requests.ts';
import type { Pods } from './pods.ts';
import type { Runtime } from './runtime.ts';
import { admit } from './who-may-ask.ts';

export interface KubeletServerOptions {
  address: string;
  port: number;
  certificate: KeyPair;
  /** PEM of the cluster's CA: certificates that it signed are believed. */
  ca: string;
  /** Common names of the certificates that may ask; members of system:masters always may. */
  clientNames: readonly string[];
  access: Access;
  node: NodeFacts;
  pods: Pods;
  runtime: Runtime;
  log: Logger;
}

export interface KubeletServer {
  port: number;
  /** PEM: certificates that another CA signed are believed from now on. */
  believe(ca: string): void;
  /** New connections see this one from now on. */
  show(certificate: KeyPair): void;
  close(): Promise<void>;
}

/**
 * The kubelet's port: logs, exec, attach and port-forward for the apiserver; metrics and statistics for whom the apiserver
 * lets. who-may-ask.ts decides before anything else is looked at.
 */
export async function startServer(options: KubeletServerOptions): Promise<KubeletServer> {
  const { log, ca } = options;
  const { cert, key } = options.certificate;
  const context = { cert, key, ca };
  const server = createServer({
    ...context,
    requestCert: true,
    rejectUnauthorized: false, // who shows no certificate may have a token
    minVersion: 'TLSv1.2',
    ALPNProtocols: ['http/1.1'],
  });
  const open = new Set<Duplex>();
  server.on('secureConnection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    socket.on('error', () => socket.destroy());
  });
  server.on('request', (request, response) => void answer(options, request, response));
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    upgrade(options, request, socket, head).catch((error: unknown) => {
      if (!(error instanceof StatusError)) log.warn({ err: error, path: request.url }, 'a stream could not be served');
      refuse(socket, error);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? new Error(`port ${options.port} is taken: choose another with --port, or 0`, { cause: error })
          : error,
      ),
    );
    server.listen(options.port, options.address, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    believe: (now) => server.setSecureContext(Object.assign(context, { ca: now })),
    show: (now) => server.setSecureContext(Object.assign(context, { cert: now.cert, key: now.key })),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

async function answer(
  options: KubeletServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  try {
    const url = await routed(options, request);
    if (request.method !== 'GET' || !(await answerNode(options.node, url, response, gone.signal))) {
      const [verb, ...rest] = parts(url);
      if (request.method !== 'GET' || verb !== 'containerLogs' || rest.length !== 3) throw notFound(url);
      await answerLogs(options.pods, containerPath(rest), url.searchParams, response, gone.signal);
    }
  } catch (error) {
    if (response.headersSent) response.destroy();
    else if (error instanceof StatusError) json(response, error.code, error.status);
    else {
      options.log.warn({ err: error, path: request.url }, 'a request could not be answered');
      json(response, 500, new StatusError(500, 'InternalError', 'the kubelet could not answer').status);
    }
  }
}

async function upgrade(
  options: KubeletServerOptions,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  const url = await routed(options, request);
  (socket as TLSSocket).setNoDelay(true);
  const [verb, ...rest] = parts(url);
  const asked = { request, socket, head, query: url.searchParams };
  const { answerCommand, answerPortForward } = await import('./stream-requests.ts'); // few nodes are ever asked for it
  if ((verb === 'exec' || verb === 'attach') && rest.length === 3)
    await answerCommand(options, verb, containerPath(rest), asked);
  else if (verb === 'portForward' && rest.length === 2) await answerPortForward(options, rest[0]!, rest[1]!, asked);
  else throw notFound(url);
}

/** The address asked for, once it is clear that the caller may ask. */
async function routed({ clientNames, access }: KubeletServerOptions, request: IncomingMessage): Promise<URL> {
  let url: URL;
  try {
    url = new URL(request.url ?? '/', 'https://kubelet');
  } catch {
    throw new StatusError(400, 'BadRequest', 'the address cannot be read');
  }
  await admit(request, url.pathname, clientNames, access);
  return url;
}

function parts(url: URL): string[] {
  try {
    return url.pathname.slice(1).split('/').map(decodeURIComponent);
  } catch {
    throw new StatusError(400, 'BadRequest', 'the path cannot be read');
  }
}

const containerPath = ([namespace, pod, container]: string[]): ContainerPath => ({
  namespace: namespace!,
  pod: pod!,
  container: container!,
});

const notFound = (url: URL): StatusError => new StatusError(404, 'NotFound', `the kubelet has no ${url.pathname}`);

function json(response: ServerResponse, code: number, body: object): void {
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function refuse(socket: Duplex, error: unknown): void {
  if (socket.destroyed) return;
  const status =
    error instanceof StatusError
      ? error.status
      : new StatusError(500, 'InternalError', (error as Error).message).status;
  const body = JSON.stringify(status);
  socket.end(
    `HTTP/1.1 ${status.code} ${status.reason ?? 'Error'}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
