import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Logger } from '../../lib/log.ts';
import { StoreUnavailable } from '../store.ts';

/** A call that etcd refused: a gRPC status code and etcd's words. */
export class GrpcError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.name = 'GrpcError';
    this.code = code;
  }
}

export interface GrpcOptions {
  /** `http://host:port` or `https://host:port`, tried in turn. */
  endpoints: readonly string[];
  ca: Buffer | undefined;
  cert: Buffer | undefined;
  key: Buffer | undefined;
  log: Logger;
  /** How often a connection is tried, milliseconds; ten seconds unless told. */
  pingEveryMs?: number;
}

const connectTimeoutMs = 2000;
const callTimeoutMs = 5000;
/** etcd hangs up (ENHANCE_YOUR_CALM) on who pings more often than every five seconds, or with no call open. */
const defaultPingEveryMs = 10_000;
const pongTimeoutMs = 5000;
const windowBytes = 16 * 1024 * 1024;

/**
 * gRPC over node:http2, as much as etcd's clients need: unary calls and one kind of stream. One connection at a time, to
 * the first endpoint that takes it; a connection that stops answering pings is given up.
 */
export class GrpcClient {
  readonly #options: GrpcOptions;
  #at = 0;
  #session: Promise<ClientHttp2Session> | undefined;
  #closed = false;
  /** Calls that are open, by connection. */
  readonly #calls = new WeakMap<ClientHttp2Session, number>();
  /** Sent with every call when etcd wants passwords. */
  token = '';

  constructor(options: GrpcOptions) {
    this.#options = options;
  }

  /** The body of the answer. `isWrite` tells what a lost connection may have done. */
  async unary(path: string, body: Uint8Array, isWrite: boolean): Promise<Buffer> {
    const session = await this.#connected();
    const stream = this.#open(session, path);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        stream.close(constants.NGHTTP2_CANCEL);
        reject(new StoreUnavailable(`etcd did not answer within ${callTimeoutMs} ms`, isWrite));
      }, callTimeoutMs);
      const chunks: Buffer[] = [];
      const status = readStatus(stream);
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('close', () => {
        clearTimeout(timer);
        const message = status.code === 0 ? messageIn(chunks) : undefined;
        if (message) resolve(message);
        else if (status.code > 0) reject(refusal(status.code, status.message, isWrite));
        else reject(new StoreUnavailable(`the connection to etcd was lost${status.lost}`, isWrite));
      });
      stream.end(frame(body));
    });
  }

  /** A stream of messages both ways. Ends with an error unless the signal ended it. */
  async stream(path: string, first: Uint8Array, signal: AbortSignal, take: (message: Buffer) => void): Promise<void> {
    const session = await this.#connected();
    if (signal.aborted) return;
    const stream = this.#open(session, path);
    return new Promise((resolve, reject) => {
      const stop = () => stream.close(constants.NGHTTP2_CANCEL);
      signal.addEventListener('abort', stop, { once: true });
      const status = readStatus(stream);
      const frames = new Frames();
      stream.on('data', (chunk: Buffer) => {
        try {
          for (const message of frames.push(chunk)) take(message);
        } catch (error) {
          signal.removeEventListener('abort', stop);
          reject(error as Error);
          stop();
        }
      });
      stream.on('close', () => {
        signal.removeEventListener('abort', stop);
        if (signal.aborted) resolve();
        else if (status.code > 0) reject(refusal(status.code, status.message, false));
        else reject(new StoreUnavailable(`the watch of etcd was cut off${status.lost}`, false));
      });
      stream.write(frame(first));
    });
  }

  close(): void {
    this.#closed = true;
    const session = this.#session;
    this.#session = undefined;
    session?.then(
      (open) => open.destroy(),
      () => undefined,
    );
  }

  #open(session: ClientHttp2Session, path: string): ClientHttp2Stream {
    try {
      const stream = session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
        ...(this.token ? { token: this.token } : {}),
      });
      this.#count(session, 1);
      stream.once('close', () => this.#count(session, -1));
      return stream;
    } catch (error) {
      // The connection ended a moment ago: nothing was sent.
      throw new StoreUnavailable('the connection to etcd was lost', false, error);
    }
  }

  #count(session: ClientHttp2Session, calls: number): void {
    this.#calls.set(session, (this.#calls.get(session) ?? 0) + calls);
  }

  #connected(): Promise<ClientHttp2Session> {
    if (this.#closed) return Promise.reject(new StoreUnavailable('the store is closed', false));
    this.#session ??= this.#connectAny().catch((error: unknown) => {
      this.#session = undefined;
      throw error;
    });
    return this.#session;
  }

  async #connectAny(): Promise<ClientHttp2Session> {
    const { endpoints } = this.#options;
    const problems: string[] = [];
    for (let i = 0; i < endpoints.length; i++) {
      const endpoint = endpoints[(this.#at + i) % endpoints.length]!;
      try {
        const session = await this.#connect(endpoint);
        this.#at = (this.#at + i) % endpoints.length;
        return session;
      } catch (error) {
        problems.push(`${endpoint}: ${(error as Error).message}`);
      }
    }
    throw new StoreUnavailable(`cannot reach etcd (${problems.join('; ')})`, false);
  }

  #connect(endpoint: string): Promise<ClientHttp2Session> {
    return new Promise((resolve, reject) => {
      const socket = this.#socketTo(new URL(endpoint));
      const session = connect(endpoint, {
        createConnection: () => socket,
        settings: { initialWindowSize: windowBytes },
      });
      const timer = setTimeout(() => session.destroy(new Error('no connection in time')), connectTimeoutMs);
      session.once('connect', () => {
        clearTimeout(timer);
        // It may come a moment after the end.
        if (session.destroyed) return;
        session.setLocalWindowSize(windowBytes * 2);
        resolve(session);
      });
      session.on('error', (error) => reject(error));
      session.on('goaway', () => this.#forget(session));
      session.on('close', () => {
        clearTimeout(timer);
        clearInterval(pings);
        this.#forget(session);
        reject(new Error('the connection was closed'));
      });
      const pings = setInterval(() => {
        if ((this.#calls.get(session) ?? 0) > 0) ping(session);
      }, this.#options.pingEveryMs ?? defaultPingEveryMs);
    });
  }

  /**
   * A socket of our own making: node:http2 leaves one open, and its session without an end, when the server refuses our
   * certificate after the handshake.
   */
  #socketTo({ protocol, hostname, port }: URL): Socket {
    const host = hostname.replace(/^\[(.*)\]$/, '$1');
    const { ca, cert, key } = this.#options;
    const socket =
      protocol === 'https:'
        ? connectTls({
            host,
            port: Number(port || 443),
            ALPNProtocols: ['h2'],
            ...(isIP(host) ? {} : { servername: host }),
            ...(ca ? { ca } : {}),
            ...(cert ? { cert } : {}),
            ...(key ? { key } : {}),
          })
        : connectTcp({ host, port: Number(port || 80) });
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    return socket;
  }

  #forget(session: ClientHttp2Session): void {
    const held = this.#session;
    void held?.then(
      (open) => {
        if (open !== session || this.#session !== held) return;
        this.#session = undefined;
        // Another member may still serve.
        this.#at += 1;
      },
      () => undefined,
    );
  }
}

function ping(session: ClientHttp2Session): void {
  if (session.destroyed || session.connecting) return;
  const late = setTimeout(() => session.destroy(new Error('etcd does not answer pings')), pongTimeoutMs);
  session.ping(() => clearTimeout(late));
}

interface CallStatus {
  /** gRPC's; -1 until etcd has answered. */
  code: number;
  message: string;
  /** Why the call broke off, behind a colon, where that is known. */
  lost: string;
}

/** How a call ends, filled in as it does. */
function readStatus(stream: ClientHttp2Stream): CallStatus {
  const status: CallStatus = { code: -1, message: '', lost: '' };
  const take = (headers: Record<string, unknown>) => {
    if (headers['grpc-status'] === undefined) return;
    status.code = Number(headers['grpc-status']);
    status.message = decodeURIComponent(String(headers['grpc-message'] ?? '').replace(/%(?![0-9a-fA-F]{2})/g, '%25'));
  };
  stream.on('response', take);
  stream.on('trailers', take);
  // A refused client certificate, for one: TLS tells of it only after the connection stands.
  stream.on('error', (error: Error & { reason?: string }) => (status.lost = `: ${error.reason ?? error.message}`));
  return status;
}

const unavailable = 14;
const deadlineExceeded = 4;

function refusal(code: number, message: string, isWrite: boolean): Error {
  if (code === unavailable || code === deadlineExceeded) return new StoreUnavailable(message, isWrite);
  return new GrpcError(code, message);
}

function frame(body: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(body.length + 5);
  out[0] = 0;
  out.writeUInt32BE(body.length, 1);
  out.set(body, 5);
  return out;
}

/** The one message of a unary answer; undefined when there is none. */
function messageIn(chunks: readonly Buffer[]): Buffer | undefined {
  const all = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
  return all.length < 5 ? undefined : all.subarray(5, 5 + all.readUInt32BE(1));
}

/** Cuts a stream of bytes into gRPC messages. */
class Frames {
  #chunks: Buffer[] = [];
  #size = 0;

  *push(chunk: Buffer): Iterable<Buffer> {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#size < 5) return;
    if (this.#chunks[0]!.length < 5) this.#chunks = [Buffer.concat(this.#chunks)];
    if (this.#size < 5 + this.#chunks[0]!.readUInt32BE(1)) return;
    let rest = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
      const end = 5 + rest.readUInt32BE(1);
      yield rest.subarray(5, end);
      rest = rest.subarray(end);
    }
    this.#chunks = rest.length > 0 ? [rest] : [];
    this.#size = rest.length;
  }
}
