import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterEach, describe, expect, test } from '@jest/globals';
import { executorEvent, masterResponse, schedulerCall, schedulerEvent, type ContentType } from '../../mesos/codec.ts';
import { MesosError } from '../../mesos/errors.ts';
import { askMaster } from '../../mesos/operator.ts';
import { encodeRecord } from '../../mesos/recordio.ts';
import { executorApi, openSession, schedulerApi } from '../../mesos/session.ts';
import type { Call, Event } from '../../mesos/scheduler.ts';
import { makeCa } from '../pki.ts';

type Handler = (request: IncomingMessage, body: Buffer, response: ServerResponse) => void;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** A real server; the handler gets whole bodies. */
async function serve(handler: Handler, options: { socketPath?: string; tls?: object } = {}): Promise<string> {
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => handler(request, Buffer.concat(chunks), response));
  };
  const server: Server = options.tls ? createTlsServer(options.tls, listener) : createServer(listener);
  if (options.socketPath === undefined) server.listen(0, '127.0.0.1');
  else server.listen(options.socketPath);
  await once(server, 'listening');
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = (options.socketPath === undefined ? server.address() : { port: 0 }) as AddressInfo;
  return `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}`;
}

const subscribe: Call = { type: 'SUBSCRIBE', subscribe: { framework_info: { user: 'u', name: 'n' } } };
const subscribed = (seconds?: number): Event => ({
  type: 'SUBSCRIBED',
  subscribed: {
    framework_id: { value: 'f-0' },
    ...(seconds === undefined ? {} : { heartbeat_interval_seconds: seconds }),
  },
});
const record = (event: Event, type: ContentType = 'application/x-protobuf') =>
  encodeRecord(schedulerEvent.encode(event, type));
const streaming = (response: ServerResponse, id = 's-1') =>
  response.writeHead(200, { 'content-type': 'application/x-protobuf', 'mesos-stream-id': id });

async function open(url: string, extra: object = {}) {
  const session = await openSession({ protocol: schedulerApi, url, subscribe, ...extra });
  cleanups.push(() => session.close());
  return session;
}
async function read(events: AsyncIterable<Event>, count: number): Promise<Event[]> {
  const got: Event[] = [];
  for await (const event of events) {
    got.push(event);
    if (got.length === count) break;
  }
  return got;
}

describe('a session', () => {
  test('reads events and sends calls in order over one other connection, with its stream id', async () => {
    const calls: { type: string; id: unknown; port: number | undefined }[] = [];
    const media = new Set<string>();
    let streamPort: number | undefined;
    const url = await serve((request, body, response) => {
      const call = schedulerCall.decode(body, 'application/x-protobuf');
      media.add(`${request.headers['content-type']}, ${request.headers.accept ?? 'whatever'}`);
      if (call.type === 'SUBSCRIBE') {
        streamPort = request.socket.remotePort;
        streaming(response).write(Buffer.concat([record(subscribed(15)), record({ type: 'HEARTBEAT' })]));
        return;
      }
      calls.push({ type: call.type, id: request.headers['mesos-stream-id'], port: request.socket.remotePort });
      setTimeout(() => response.writeHead(202).end(), 12 - calls.length * 2);
    });
    const session = await open(url);
    expect(session.streamId).toBe('s-1');
    expect((await read(session.events, 2)).map((event) => event.type)).toEqual(['SUBSCRIBED', 'HEARTBEAT']);
    const order = ['REVIVE', 'SUPPRESS', 'REVIVE', 'TEARDOWN'] as const;
    await Promise.all(order.map((type) => session.call({ type, framework_id: { value: 'f-0' } })));
    expect(calls.map((call) => call.type)).toEqual(order);
    expect(new Set(calls.map((call) => call.id))).toEqual(new Set(['s-1']));
    expect(new Set(calls.map((call) => call.port)).size).toBe(1);
    expect(calls[0]!.port).not.toBe(streamPort);
    // Mesos compares media types as a whole: one with parameters is none that it knows.
    expect([...media]).toEqual(['application/x-protobuf, application/x-protobuf', 'application/x-protobuf, whatever']);
  });

  test('understands records that are cut anywhere, also inside a character, and merged ones', async () => {
    const events: Event[] = [
      subscribed(),
      { type: 'ERROR', error: { message: 'Grüße, 世界 🚀' } },
      { type: 'ERROR', error: { message: 'é'.repeat(300) } },
    ];
    const bytes = Buffer.concat(events.map((event) => record(event, 'application/json')));
    const url = await serve((_request, _body, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      let at = 0;
      const next = () => {
        if (at >= bytes.length) return;
        response.write(bytes.subarray(at, (at += at < 150 ? 1 : 400)), () => setImmediate(next));
      };
      next();
    });
    const session = await open(url, { contentType: 'application/json' });
    expect(await read(session.events, 3)).toEqual(events);
  });

  test('follows redirects to the leader, keeps its path, and sends its calls there', async () => {
    const paths: string[] = [];
    const leader = await serve((request, body, response) => {
      paths.push(`${request.url} ${request.headers['authorization']}`);
      const call = schedulerCall.decode(body, 'application/x-protobuf');
      if (call.type === 'SUBSCRIBE') streaming(response).write(record(subscribed()));
      else response.writeHead(202).end();
    });
    const follower = await serve((_request, _body, response) => {
      response.writeHead(307, { location: `${leader.replace('http:', '')}/master/api/v1/scheduler` }).end();
    });
    const session = await open(follower, { credentials: { principal: 'p', secret: 's' } });
    await session.call({ type: 'REVIVE', framework_id: { value: 'f-0' } });
    expect(session.url).toBe(leader);
    expect(paths).toEqual(Array(2).fill('/master/api/v1/scheduler Basic cDpz'));
  });

  test('gives up a circle of redirects as something that may pass', async () => {
    let asked = 0;
    const url = await serve((request, _body, response) => {
      asked += 1;
      response.writeHead(307, { location: `//${request.headers.host}/master/api/v1/scheduler` }).end();
    });
    await expect(open(url)).rejects.toMatchObject({ code: 'redirect', retryable: true });
    expect(asked).toBe(6);
  });

  test.each([
    [400, 'Framework cannot be found', 'refused', false],
    [401, 'no', 'unauthorized', false],
    [403, 'Framework is not subscribed', 'forbidden', false],
    [404, '', 'unavailable', true],
    [503, 'No leader elected', 'unavailable', true],
  ])('reports %d "%s" as %s', async (status, text, code, retryable) => {
    const url = await serve((_request, _body, response) => void response.writeHead(status).end(text));
    const error = await open(url).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(MesosError);
    expect(error).toMatchObject({ code, status, retryable });
    expect((error as Error).message).toContain(text);
  });

  test('a refused call does not end it', async () => {
    const url = await serve((_request, body, response) => {
      const call = schedulerCall.decode(body, 'application/x-protobuf');
      if (call.type === 'SUBSCRIBE') streaming(response).write(record(subscribed()));
      else response.writeHead(call.type === 'REVIVE' ? 400 : 202).end('because');
    });
    const session = await open(url);
    await expect(session.call({ type: 'REVIVE' })).rejects.toMatchObject({ code: 'refused', status: 400 });
    await session.call({ type: 'SUPPRESS' });
  });

  test('sends no call of type UNKNOWN, at which a master ends', async () => {
    const types: string[] = [];
    const url = await serve((_request, body, response) => {
      const { type } = schedulerCall.decode(body, 'application/x-protobuf');
      types.push(type);
      if (type === 'SUBSCRIBE') streaming(response).write(record(subscribed()));
      else response.writeHead(202).end();
    });
    const session = await open(url);
    // No Call as the compiler sees it.
    const unknown: Call = JSON.parse('{"type":"UNKNOWN"}');
    await expect(session.call(unknown)).rejects.toMatchObject({ code: 'refused' });
    await session.call({ type: 'REVIVE' });
    expect(types).toEqual(['SUBSCRIBE', 'REVIVE']);
  });

  test('ends when heartbeats stay away, counted in the interval that the server announced', async () => {
    const url = await serve((_request, _body, response) => void streaming(response).write(record(subscribed(0.02))));
    const session = await open(url);
    await expect(read(session.events, 9)).rejects.toMatchObject({ code: 'silent' });
    expect(await session.closed).toMatchObject({ code: 'silent', retryable: true, message: 'no heartbeat for 100 ms' });
  });

  test('lives as long as heartbeats come', async () => {
    const url = await serve((_request, _body, response) => {
      streaming(response).write(record(subscribed(0.02)));
      const timer = setInterval(() => response.write(record({ type: 'HEARTBEAT' })), 20);
      response.on('close', () => clearInterval(timer));
    });
    expect(await read((await open(url)).events, 20)).toHaveLength(20);
  });

  test('a slow reader makes the server wait, and silence is not counted meanwhile', async () => {
    let sent = 0;
    const big: Event = { type: 'ERROR', error: { message: 'x'.repeat(64 * 1024) } };
    const url = await serve((_request, _body, response) => {
      streaming(response).write(record(subscribed(0.2)));
      const bytes = record(big);
      const more = () => {
        while (sent < 2000) {
          sent += 1;
          if (!response.write(bytes)) return void response.once('drain', more);
        }
      };
      more();
    });
    const session = await open(url, { maxWaiting: 8 });
    let before = -1;
    while (before !== sent || sent === 0) {
      before = sent;
      // Longer than the silence that would end it.
      await new Promise((resolve) => setTimeout(resolve, 1200));
    }
    expect(sent).toBeLessThan(2000);
    expect(await read(session.events, 2001)).toHaveLength(2001);
  });

  test.each([
    ['text that is no length', Buffer.from('<html>\n'), 'expected the length of a record'],
    ['a record that is no event', encodeRecord(Buffer.from([0xff, 0xff, 0xff])), 'is no mesos.v1.scheduler.Event'],
    ['a record over the limit', Buffer.from('999999999\n'), 'longer than the limit'],
  ])('ends at %s with a reason', async (_name, bytes, message) => {
    const url = await serve((_request, _body, response) => {
      streaming(response).write(Buffer.concat([record(subscribed()), bytes]));
    });
    const session = await open(url, { maxRecordBytes: 1_000_000 });
    const reason = await session.closed;
    expect(reason.code).toBe('malformed');
    expect(reason.message).toContain(message);
    await expect(read(session.events, 5)).rejects.toBe(reason);
  });

  test('gives the type UNKNOWN to events that it does not know, and goes on', async () => {
    const url = await serve((_request, _body, response) => {
      streaming(response).write(Buffer.concat([encodeRecord(Buffer.from([0x08, 99])), record(subscribed())]));
    });
    expect((await read((await open(url)).events, 2)).map((event) => event.type)).toEqual(['UNKNOWN', 'SUBSCRIBED']);
  });

  test('says that the connection broke, or the server ended, and fails the calls that wait', async () => {
    let stream: ServerResponse | undefined;
    const url = await serve((_request, body, response) => {
      if (schedulerCall.decode(body, 'application/x-protobuf').type !== 'SUBSCRIBE') return stream!.destroy();
      stream = response;
      streaming(response).write(record(subscribed()));
    });
    const session = await open(url);
    await read(session.events, 1);
    await expect(session.call({ type: 'REVIVE' })).rejects.toMatchObject({ code: 'connection' });
    expect(await session.closed).toMatchObject({ code: 'connection', retryable: true });
  });

  test('stops when the caller wants, without an error for the reader', async () => {
    const url = await serve((_request, _body, response) => void streaming(response).write(record(subscribed())));
    const stop = new AbortController();
    const session = await open(url, { signal: stop.signal });
    const reading = read(session.events, 5);
    stop.abort();
    expect(await reading).toHaveLength(1);
    expect(await session.closed).toMatchObject({ code: 'closed', retryable: false });
  });

  test('says when nobody listens', async () => {
    const server = createTcpServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    await expect(open(`http://127.0.0.1:${port}`)).rejects.toMatchObject({ code: 'connection', retryable: true });
  });

  test('never goes through a proxy of the environment', async () => {
    const saved = { ...process.env };
    Object.assign(process.env, {
      HTTP_PROXY: 'http://127.0.0.1:9',
      http_proxy: 'http://127.0.0.1:9',
      NODE_USE_ENV_PROXY: '1',
    });
    try {
      const url = await serve((_request, _body, response) => void streaming(response).write(record(subscribed())));
      expect((await open(url)).streamId).toBe('s-1');
    } finally {
      process.env = saved;
    }
  });

  test('speaks TLS with a CA of its own and shows a client certificate', async () => {
    const ca = await makeCa();
    const pki = { ca: ca.pem, ...(await ca.issue('127.0.0.1')) };
    let shown: string | undefined;
    const url = await serve(
      (request, _body, response) => {
        shown = String((request.socket as TLSSocket).getPeerCertificate().subject.CN);
        streaming(response).write(record(subscribed()));
      },
      { tls: { key: pki.key, cert: pki.cert, ca: pki.ca, requestCert: true, rejectUnauthorized: true } },
    );
    await open(url, { tls: pki });
    expect(shown).toBe('127.0.0.1');
    await expect(open(url)).rejects.toMatchObject({ code: 'connection' });
  });

  test('of an executor uses the unix socket and the token of its agent, and has no stream id', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'km-session-'));
    cleanups.push(() => rmSync(dir, { recursive: true }));
    const socketPath = join(dir, 'agent.sock');
    let seen: unknown;
    await serve(
      (request, _body, response) => {
        seen = request.headers['authorization'];
        response
          .writeHead(200)
          .write(encodeRecord(executorEvent.encode({ type: 'SHUTDOWN' }, 'application/x-protobuf')));
      },
      { socketPath },
    );
    const session = await openSession({
      protocol: executorApi,
      url: 'http://127.0.0.1:5051',
      socketPath,
      credentials: { token: 'jwt' },
      subscribe: {
        type: 'SUBSCRIBE',
        framework_id: { value: 'f' },
        executor_id: { value: 'e' },
        subscribe: {},
      },
    });
    cleanups.push(() => session.close());
    expect(seen).toBe('Bearer jwt');
    expect(session.streamId).toBeUndefined();
    for await (const event of session.events) {
      expect(event.type).toBe('SHUTDOWN');
      break;
    }
  });
});

describe('an operator question', () => {
  test('gives the answer of its own type, from the leader', async () => {
    const leader = await serve((_request, _body, response) => {
      response.end(masterResponse.encode({ type: 'GET_HEALTH', get_health: { healthy: true } }, 'application/json'));
    });
    const url = await serve((_request, _body, response) => {
      response.writeHead(307, { location: `${leader.replace('http:', '')}/master/api/v1` }).end();
    });
    const answer = await askMaster({ url, contentType: 'application/json' }, { type: 'GET_HEALTH' });
    expect(answer.get_health.healthy).toBe(true);
  });

  test.each([
    ['no credentials', undefined, 'the server asks for a principal and its secret, and none were given'],
    ['a wrong secret', { principal: 'fw', secret: 'x' }, 'the server knows no principal "fw" with our secret'],
    ['a token', { token: 'jwt' }, 'the server does not accept our token'],
  ])('says what 401 means with %s, without the secret', async (_what, credentials, said) => {
    const url = await serve((_request, _body, response) => void response.writeHead(401).end('401 Unauthorized.'));
    const error = await askMaster({ url, credentials }, { type: 'GET_STATE' }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'unauthorized', message: `GET_STATE was answered 401: ${said}` });
  });

  test('throws what the server said against it', async () => {
    const url = await serve((_request, _body, response) => void response.writeHead(403).end('not you'));
    await expect(askMaster({ url }, { type: 'GET_STATE' })).rejects.toThrow('GET_STATE was answered 403: not you');
  });
});
