import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Server as TlsServer, type TLSSocket } from 'node:tls';
import { fastify } from 'fastify';
import { StatusError } from '../api/status.ts';
import type { Logger } from '../lib/log.ts';
import { profileAt } from '../lib/profiling/profiling.ts';
import { reloadTls } from '../lib/reload-tls.ts';
import { aggregatedForm, type Discovery } from './discovery.ts';
import type { Answer } from './call.ts';
import type { User } from './auth/user.ts';
import { connectSubresources, unknownPath, type Admitted, type Dispatcher, type Incoming } from './dispatch.ts';
import { bodyTooLarge, toStatusError } from './errors.ts';
import type { Audit, AuditRecord } from './audit/audit.ts';
import type { IssuerDocuments } from './auth/issuer-documents.ts';
import type { Aggregator, Remote } from './aggregation/aggregator.ts';
import { passOn } from './proxy/pass-on.ts';
import { passUpgrade } from './proxy/pass-upgrade.ts';
import type { Caller, Doorkeeper, Seat } from './flow/flow-control.ts';
import type { Health } from './health.ts';
import type { ServerMetrics } from './metrics.ts';
import type { OpenApi } from './openapi.ts';
import { render } from './render.ts';
import { jsonBody, send, sendStatus, textBody, type RawRequest, type RawResponse } from './respond.ts';
import type { Connections } from './subresources/connections.ts';
import type { Sink, Watch } from './verbs/watch.ts';
import { version } from './version.ts';
import { warningHeaders } from './warnings.ts';
import { isWebSocket, openFrameSocket } from './frame-socket.ts';
import { watchSink } from './watch-socket.ts';

export interface Parts {
  dispatcher: Dispatcher;
  doorkeeper: Doorkeeper;
  discovery: Discovery;
  openapi: OpenApi;
  audit: Audit | undefined;
  documents: IssuerDocuments;
  health: Health;
  metrics: ServerMetrics;
  profiling: boolean;
  connections: Connections;
  aggregator: Aggregator;
  log: Logger;
  /** Aborts when the server stops: watches and streams end. */
  signal: AbortSignal;
  /** host:port that clients outside should use. */
  address: () => string;
}

export interface TlsFiles {
  key: string | Buffer;
  cert: string | Buffer;
  /** The CAs of client certificates. */
  ca?: Buffer[];
}

export interface Server {
  /** Resolves with the bound port; rejects when the port is taken, unless by processes that share it too. */
  listen: (host: string, port: number, sharesPort?: boolean) => Promise<number>;
  /** Follows changes of the files that its certificates come from. */
  reload: (paths: readonly string[], read: () => TlsFiles) => void;
  /** Takes no new connections, lets requests in flight finish for as long as `drainMs`, then closes the rest. */
  stop: (drainMs: number) => Promise<void>;
}

/** Given to fastify so that it does not load compilers of its own. */
const noSchemas = (): never => {
  throw new Error('no route has a schema: requests are checked, and answers written, by their kinds');
};

/** The HTTPS server: HTTP/2 and HTTP/1.1 on one port; every path ends in one handler, which knows what is where. */
export function createServer(parts: Parts, tls: TlsFiles, maxRequestBytes: number): Server {
  const app = fastify({
    http2: true,
    https: { allowHTTP1: true, requestCert: true, rejectUnauthorized: false, ...tls },
    bodyLimit: maxRequestBytes,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 8192 },
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.setErrorHandler(async (error, request, reply) => {
    reply.hijack();
    const isTooLarge = (error as { code?: string }).code === 'FST_ERR_CTP_BODY_TOO_LARGE';
    const status = isTooLarge ? bodyTooLarge(maxRequestBytes) : toStatusError(error, parts.log);
    await sendStatus(request.raw, reply.raw, status);
  });
  const handler = new Handler(parts);
  // Runs before the body is read: strangers cannot make us hold theirs.
  const asked = new WeakMap<RawRequest, LetIn>();
  app.addHook('onRequest', async ({ raw }, reply) => {
    const letIn = await handler.letIn(raw, reply.raw);
    const { seat } = letIn;
    if (seat) showFlow(seat, reply.raw);
    if (!isPassedOn(letIn)) {
      // Without a type fastify reads no body whose length is not told, as that of `kubectl create --raw` is.
      if ('stream' in raw && !raw.stream.endAfterHeaders) raw.headers['content-type'] ??= 'application/json';
      return void asked.set(raw, letIn);
    }
    reply.hijack();
    await handler.serve(letIn, raw, reply.raw, empty);
  });
  app.all('/*', async (request, reply) => {
    reply.hijack();
    const body = Buffer.isBuffer(request.body) ? request.body : empty;
    await handler.serve(asked.get(request.raw)!, request.raw, reply.raw, body);
  });
  // Of HTTP/1.1; the type does not know that a server of both has it.
  Object.assign(app.server, { keepAliveTimeout: idleMs });
  const sockets = new Set<Socket>();
  app.server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  app.server.on('upgrade', (request: IncomingMessage, socket: TLSSocket, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    void handler.upgrade(request, socket, head);
  });
  return {
    listen: async (host, port, sharesPort = false) => {
      // The kernel spreads new connections over all who listen, and takes back those of one that dies.
      await app.listen({ host, port, ...(sharesPort ? { exclusive: true, reusePort: true } : {}) });
      return (app.server.address() as AddressInfo).port;
    },
    reload: (paths, read) => {
      // An HTTP/2 server that speaks TLS is one of these; its type does not tell.
      const server: unknown = app.server;
      if (server instanceof TlsServer) reloadTls(server, paths, read, parts);
    },
    stop: async (drainMs) => {
      const closed = app.close();
      await handler.idle(drainMs);
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

const empty = Buffer.alloc(0);

/** How long a connection may be idle: those who come back every ten seconds, as kubelets do, need no new handshake. */
const idleMs = 90_000;

/** How long the last of a watch may wait for its reader. */
const unreadMs = 5000;

/** One reason for all: making an Error with its stack for every finished request would cost more than many a verb. */
const hungUp = new Error('the caller hung up');

/** A request whose caller may make it; its body comes later. */
interface LetIn {
  incoming: Incoming;
  hangup: AbortController;
  /** Undefined when the path is not that of a resource. */
  admitted: Admitted | undefined;
  /** Who else serves the path, and who asks. */
  remote: { remote: Remote; user: User } | undefined;
  record: AuditRecord | undefined;
  /** None for those that are served for long: logs, streams, proxies. */
  seat: Seat | undefined;
}

const hasHungUp = (caller: Caller): boolean => (caller.stream ?? caller).destroyed === true;

/** For whoever wants to know which flow the request was part of. */
function showFlow({ schemaUid, levelUid }: Seat, response: RawResponse): void {
  if (!schemaUid) return;
  response.setHeader('x-kubernetes-pf-flowschema-uid', schemaUid);
  response.setHeader('x-kubernetes-pf-prioritylevel-uid', levelUid);
}

/** Its body goes to somebody else as it comes, whatever its length. */
const isPassedOn = ({ admitted, remote }: LetIn): boolean =>
  remote !== undefined || (admitted !== undefined && connectSubresources.has(admitted.call.subresource));

class Handler {
  readonly #parts: Parts;
  #inFlight = 0;
  #whenIdle: (() => void) | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Resolves when no request is being answered any more, or after `ms`. */
  async idle(ms: number): Promise<void> {
    if (this.#inFlight === 0) return;
    await new Promise<void>((resolve) => {
      const late = setTimeout(resolve, ms);
      this.#whenIdle = () => {
        clearTimeout(late);
        resolve();
      };
    });
  }

  /** Tells who asks and whether they may, when it is their turn; throws 401, 403, 404 or 429. */
  async letIn(request: RawRequest, caller: Caller): Promise<LetIn> {
    const hangup = new AbortController();
    const incoming = this.#incoming(request, hangup.signal);
    const { dispatcher, audit, log } = this.#parts;
    const asked = dispatcher.asked(incoming);
    let record: AuditRecord | undefined;
    let user: User | undefined;
    let seat: Seat | undefined;
    try {
      user = await dispatcher.identify(incoming);
      record = audit?.begin(incoming, user, asked.attributes);
      if (!connectSubresources.has(asked.attributes.subresource)) {
        const taken = this.#parts.doorkeeper.enter(user, asked.attributes, incoming.query, caller);
        seat = taken instanceof Promise ? await taken : taken;
        caller.once('close', () => seat!.leave());
        // It may have hung up while it was looked into.
        if (hasHungUp(caller)) seat.leave();
      }
      const reason = await dispatcher.authorize(user, asked.attributes);
      record?.decided(true, reason);
      const remote = this.#parts.aggregator.find(incoming.path);
      if (remote) return { incoming, hangup, admitted: undefined, remote: { remote, user }, record, seat };
      const admitted = dispatcher.admit(incoming, user, asked);
      if (admitted && record) admitted.call.annotate = record.annotate;
      return { incoming, hangup, admitted, remote: undefined, record, seat };
    } catch (error) {
      const status = toStatusError(error, log);
      record ??= audit?.begin(incoming, user, asked.attributes);
      if (status.code === 403) record?.decided(false);
      record?.complete(status.code, status.message);
      throw status;
    }
  }

  async serve(asked: LetIn, request: RawRequest, response: RawResponse, body: Buffer): Promise<void> {
    const { incoming, hangup, admitted, remote, record, seat } = asked;
    this.#inFlight += 1;
    response.on('close', () => {
      hangup.abort(hungUp);
      record?.complete(response.statusCode);
      this.#inFlight -= 1;
      if (this.#inFlight === 0) this.#whenIdle?.();
    });
    try {
      if (remote) {
        const target = this.#parts.aggregator.target(remote.remote, remote.user, request.url!);
        if (incoming.query.has('watch')) seat?.leave();
        return await passOn(target, request, response, incoming.signal);
      }
      if (!admitted) return await this.#path(incoming, request, response);
      admitted.call.body = body;
      await this.#resource(admitted, request, response, record);
      // A watch that has begun costs little.
      if (admitted.verb === 'watch') seat?.leave();
    } catch (error) {
      await sendStatus(request, response, toStatusError(error, this.#parts.log));
    }
  }

  #incoming(request: RawRequest, signal: AbortSignal): Incoming {
    const url = request.url ?? '/';
    const at = url.indexOf('?');
    return {
      method: request.method ?? 'GET',
      path: at < 0 ? url : url.slice(0, at),
      query: new URLSearchParams(at < 0 ? '' : url.slice(at + 1)),
      headers: request.headers,
      rawHeaders: request.rawHeaders,
      socket: request.socket as TLSSocket,
      signal,
    };
  }

  async #resource(
    admitted: Admitted,
    request: RawRequest,
    response: RawResponse,
    record: AuditRecord | undefined,
  ): Promise<void> {
    const { call, verb } = admitted;
    const isConnect = connectSubresources.has(call.subresource);
    const done = this.#parts.metrics.begin(isConnect ? 'connect' : verb, {
      group: call.kind.group,
      version: call.kind.version,
      resource: call.kind.plural,
      subresource: call.subresource,
      scope: call.name ? 'resource' : call.namespace ? 'namespace' : 'cluster',
    });
    record?.request(call.contentType, call.body);
    try {
      if (isConnect) await this.#parts.connections.serve(call, request, response);
      else if (verb === 'watch') {
        this.#stream(await this.#parts.dispatcher.watch(admitted), response, request);
        record?.started(200);
      } else {
        const answer = await this.#parts.dispatcher.answer(admitted);
        if (record?.wantsResponse) record.response(shownIn(answer));
        const rendered = await render(answer, call.output, call.query);
        await send(request, response, answer.code, rendered, warningHeaders(call.warnings));
      }
      if (response.destroyed || response.writableEnded) done(response.statusCode);
      else response.once('close', () => done(response.statusCode));
    } catch (error) {
      const status = toStatusError(error, this.#parts.log);
      done(status.code);
      record?.response(status.status);
      record?.complete(status.code, status.message);
      await sendStatus(request, response, status, warningHeaders(call.warnings));
    }
  }

  #stream(watch: Watch, response: RawResponse, request: RawRequest): void {
    const raw = response as ServerResponse;
    const isHttp2 = request.httpVersionMajor === 2;
    raw.writeHead(200, { 'content-type': watch.contentType, 'cache-control': 'no-cache, private' });
    raw.flushHeaders();
    const stop = () => sink.end();
    const sink: Sink = {
      write: (bytes) => {
        if (!raw.destroyed && !raw.writableEnded) raw.write(bytes);
      },
      get waiting() {
        return isHttp2
          ? ((response as { stream?: { writableLength: number } }).stream?.writableLength ?? 0)
          : raw.writableLength;
      },
      end: () => {
        this.#parts.signal.removeEventListener('abort', stop);
        if (raw.destroyed || raw.writableEnded) return;
        raw.end();
        // Who does not read would hold what waits for them for ever.
        const late = setTimeout(() => raw.destroy(), unreadMs);
        raw.once('close', () => clearTimeout(late));
      },
    };
    this.#parts.signal.addEventListener('abort', stop, { once: true });
    watch.open(sink);
  }

  async #path(incoming: Incoming, request: RawRequest, response: RawResponse): Promise<void> {
    const { path, method, query } = incoming;
    if (method !== 'GET' && method !== 'HEAD') throw notAllowed();
    const health = await this.#parts.health.at(path, query);
    if (health) return send(request, response, health.code, health.body, { 'x-content-type-options': 'nosniff' });
    if (path === '/version' || path === '/version/') return send(request, response, 200, jsonBody(version));
    if (path === '/metrics') {
      const { registry, text } = this.#parts.metrics;
      return send(request, response, 200, textBody(await text(), registry.contentType));
    }
    const profile = this.#parts.profiling ? await profileAt(path, query, incoming.signal) : undefined;
    if (profile) {
      const { code, headers, contentType, body } = profile;
      const rendered = { contentType, chunks: [body], length: body.length };
      return send(request, response, code, rendered, { ...headers, 'x-content-type-options': 'nosniff' });
    }
    if (path.startsWith('/openapi/')) return this.#parts.openapi.serve(path, incoming, request, response);
    const document = await this.#parts.documents.at(path, this.#parts.address());
    if (document)
      return send(request, response, 200, jsonBody(document.value, document.contentType), {
        'cache-control': 'public, max-age=3600',
      });
    if (path === '/') return send(request, response, 200, jsonBody({ paths: this.#parts.discovery.paths() }));
    return this.#discover(incoming, request, response);
  }

  async #discover({ path, headers }: Incoming, request: RawRequest, response: RawResponse): Promise<void> {
    const isRoot = /^\/apis?\/?$/.test(path);
    const form = isRoot ? aggregatedForm((headers.accept as string | undefined) ?? '') : undefined;
    const found = /^\/apis?(\/|$)/.test(path)
      ? this.#parts.discovery.at(path, form?.version, this.#parts.address())
      : undefined;
    if (found === undefined) {
      if (/^\/apis?\//.test(path)) throw unknownPath();
      return send(request, response, 404, textBody('404 page not found\n'), { 'x-content-type-options': 'nosniff' });
    }
    const { bytes, etag } = found;
    const body = { contentType: form?.contentType ?? 'application/json', chunks: [bytes], length: bytes.length };
    if (!form) return send(request, response, 200, body, { vary: 'Accept' });
    const common = { etag, vary: 'Accept', 'x-varied-accept': form.version };
    if (headers['if-none-match'] === etag) return send(request, response, 304, textBody('', form.contentType), common);
    return send(request, response, 200, body, common);
  }

  /** exec, attach, port-forward, proxies, and watches over a WebSocket: the connection leaves HTTP. */
  async upgrade(request: IncomingMessage, socket: TLSSocket, head: Buffer): Promise<void> {
    try {
      const { admitted, remote, record, hangup, incoming, seat } = await this.letIn(request, socket);
      const ended = () => {
        hangup.abort(hungUp);
        record?.complete(101);
      };
      if (socket.destroyed) return ended();
      socket.on('close', ended);
      if (remote) {
        const target = this.#parts.aggregator.target(remote.remote, remote.user, request.url!);
        return await passUpgrade(target, request, socket, head, incoming.signal);
      }
      if (admitted?.verb === 'watch' && isWebSocket(request)) {
        const watch = await this.#parts.dispatcher.watch(admitted);
        seat?.leave();
        const isText = watch.contentType === 'application/json';
        return openFrameSocket(request, socket, head, isText, (frames) =>
          watch.open(watchSink(frames, this.#parts.signal)),
        );
      }
      if (!admitted || !connectSubresources.has(admitted.call.subresource))
        throw new StatusError(400, 'BadRequest', 'this path takes no upgrade of the connection');
      await this.#parts.connections.upgrade(admitted.call, request, socket, head);
    } catch (error) {
      refuseUpgrade(socket, toStatusError(error, this.#parts.log));
    }
  }
}

/** What an answer says, for the audit log; lists are too long for it. */
function shownIn(answer: Answer): unknown {
  if ('entry' in answer) return answer.entry.object;
  return 'list' in answer ? { kind: answer.kind.listKind, apiVersion: answer.kind.apiVersion } : answer.value;
}

const notAllowed = (): StatusError =>
  new StatusError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {});

function refuseUpgrade(socket: TLSSocket, error: StatusError): void {
  if (socket.destroyed) return;
  const body = JSON.stringify(error.status);
  socket.end(
    `HTTP/1.1 ${error.code} ${error.reason ?? 'Error'}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
