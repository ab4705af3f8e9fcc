/** What master and agents share of HTTP: bodies, answers in Mesos' form, streams of records, and who may ask. */
import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { drained } from '../lib/drained.ts';
import { createServer } from '../lib/http.ts';
import { contentTypes, DecodeError, type ContentType, type MessageType } from '../mesos/codec.ts';
import { encodeRecord, RecordDecoder } from '../mesos/recordio.ts';

/** An answer that ends the handling of a request. */
export class HttpAnswer extends Error {
  readonly status: number;
  readonly headers: Record<string, string>;
  constructor(status: number, text = '', headers: Record<string, string> = {}) {
    super(text);
    this.status = status;
    this.headers = headers;
  }
}

export interface Request {
  method: string;
  /** Without query. */
  path: string;
  query: URLSearchParams;
  /** As it came, with its query. */
  url: string;
  headers: IncomingMessage['headers'];
  /** Empty where the request is a stream of records. */
  body: Buffer;
  /** Its records as they come, where it is one. */
  records: AsyncIterable<Buffer> | undefined;
  response: ServerResponse;
}
export type Handler = (request: Request) => void | Promise<void>;

const maxBodyBytes = 64 * 1024 * 1024;

/** The type of a stream of records; what each of them is, is told by a header `Message-…`. */
export const recordio = 'application/recordio';

async function* recordsOf(message: IncomingMessage): AsyncGenerator<Buffer> {
  const decoder = new RecordDecoder(maxBodyBytes);
  // Who has seen enough of it still has to be answered on its socket.
  const chunks: AsyncIterable<Buffer> = message.iterator({ destroyOnReturn: false });
  for await (const chunk of chunks) yield* decoder.push(chunk);
  decoder.end();
}

export interface Listening {
  ip: string;
  port: number;
  close(): void;
}

/** Listens on loopback only: nobody from another machine may drive a devcluster. */
export async function listen(port: number, handle: Handler): Promise<Listening> {
  const server: Server = createServer((message, response) => {
    void serve(message, response, handle);
  });
  server.keepAliveTimeout = 0;
  server.requestTimeout = 0;
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    ip: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** When the body of the last request of a connection has been read, and its handling has begun. */
const turns = new WeakMap<Socket, Promise<unknown>>();

/** Pipelined requests are handled in the order in which they came, as libprocess does. */
async function bodyInTurn(message: IncomingMessage): Promise<Buffer> {
  const before = turns.get(message.socket);
  const reading = readBody(message);
  const turn = Promise.allSettled([before, reading]);
  turns.set(message.socket, turn);
  await turn;
  return reading;
}

async function serve(message: IncomingMessage, response: ServerResponse, handle: Handler): Promise<void> {
  response.on('error', () => response.destroy());
  try {
    checkHost(message.headers.host);
    const url = new URL(message.url ?? '/', 'http://devcluster');
    const { method = 'GET', headers } = message;
    const records = headers['content-type'] === recordio ? recordsOf(message) : undefined;
    const body = records ? Buffer.alloc(0) : await bodyInTurn(message);
    const { pathname, searchParams: query } = url;
    const path = decodeURIComponent(pathname);
    await handle({ method, path, query, url: message.url ?? '/', headers, body, records, response });
  } catch (error) {
    if (response.headersSent) return void response.destroy();
    if (error instanceof HttpAnswer) return answer(response, error.status, error.message, error.headers);
    answer(response, 500, error instanceof Error ? error.message : String(error));
  }
}

/** A page in a browser must not drive us through a name that it made point here. */
function checkHost(host: string | undefined): void {
  const name = (host ?? '').replace(/:\d+$/, '');
  if (!['127.0.0.1', 'localhost', '[::1]', ''].includes(name))
    throw new HttpAnswer(403, `The devcluster answers to 127.0.0.1 and localhost, not to '${name}'`);
}

async function readBody(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBodyBytes) throw new HttpAnswer(413, `A body may have ${maxBodyBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Plain text, as Mesos says nearly everything that is no message. */
export function answer(
  response: ServerResponse,
  status: number,
  text = '',
  headers: Record<string, string> = {},
): void {
  const type = text === '' ? {} : { 'content-type': 'text/plain; charset=utf-8' };
  response.writeHead(status, { ...type, 'content-length': String(Buffer.byteLength(text)), ...headers });
  // Beside a string Node writes the headers in UTF-8, too.
  response.end(text === '' ? undefined : Buffer.from(text));
}

export function answerJson(response: ServerResponse, value: unknown): void {
  const text = JSON.stringify(value);
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }).end(text);
}

export function answerMessage<T>(
  response: ServerResponse,
  type: MessageType<T>,
  value: T,
  contentType: ContentType,
): void {
  const bytes = type.encode(value, contentType, true);
  response.writeHead(200, { 'content-type': contentType, 'content-length': bytes.length }).end(bytes);
}

/** The first checks of every v1 endpoint, in Mesos' order: method, Content-Type, body. */
export function readCall<T>(request: Request, type: MessageType<T>): { call: T; contentType: ContentType } {
  if (request.method !== 'POST')
    throw new HttpAnswer(
      405,
      `405 Method Not Allowed. Expecting one of { 'POST' }, but received '${request.method}'.`,
      { allow: 'POST' },
    );
  const given = request.headers['content-type'];
  if (given === undefined) throw new HttpAnswer(400, "Expecting 'Content-Type' to be present");
  const contentType = contentTypes.find((known) => known === given);
  if (!contentType) throw new HttpAnswer(415, "Expecting 'Content-Type' of application/json or application/x-protobuf");
  try {
    return { call: type.decode(request.body, contentType), contentType };
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw new HttpAnswer(400, parseFailure(error, request.body));
  }
}

function parseFailure(error: DecodeError, body: Buffer): string {
  if (error.kind === 'protobuf') return 'Failed to parse body into Call protobuf';
  if (error.kind === 'shape') return `Failed to convert JSON into Call protobuf: ${error.message}`;
  return `Failed to parse body into JSON: ${syntaxError(error.message, body.toString())}`;
}

/** What the parser of Mesos says where ours says `message`. */
export function syntaxError(message: string, text: string): string {
  // Where ours names no place it is the end, or the very first character.
  const at = Number(/position (\d+)/.exec(message)?.[1] ?? (/end of JSON/.test(message) ? text.length : 0));
  const line = text.slice(0, at).split('\n').length;
  return `syntax error at line ${line} near: ${text.slice(at).split('\n')[0]}`;
}

/** What the client wants to read; JSON where both are fine. Throws 406. */
export function negotiate(accept: string | undefined): ContentType {
  const wanted = (accept ?? '*/*').split(',').map((part) => part.trim().split(/\s*;\s*/));
  const accepts = (type: string) =>
    wanted.some(([range = '', ...parameters]) => {
      if (parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))) return false;
      return range === type || range === '*/*' || range === 'application/*';
    });
  const found = contentTypes.find(accepts);
  if (!found) throw new HttpAnswer(406, "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'");
  return found;
}

const maxUnsentBytes = 256 * 1024 * 1024;

/** The answer to a SUBSCRIBE: one chunk a record, as Mesos writes it. */
export class RecordStream<E> {
  readonly contentType: ContentType;
  readonly #type: MessageType<E>;
  readonly #response: ServerResponse;

  constructor(
    response: ServerResponse,
    type: MessageType<E>,
    contentType: ContentType,
    headers: Record<string, string>,
  ) {
    this.#type = type;
    this.#response = response;
    this.contentType = contentType;
    response.writeHead(200, { 'content-type': contentType, ...headers });
    response.flushHeaders();
    response.socket?.setNoDelay(true);
  }

  /**
   * A reader that does not read is cut off, so that its records do not fill our memory. False asks the sender to wait until it
   * is `drained`, if it can.
   */
  send(event: E): boolean {
    if (this.#response.destroyed || this.#response.writableEnded) return true;
    const isFree = this.#response.write(encodeRecord(this.#type.encode(event, this.contentType, true)));
    if (this.#response.writableLength > maxUnsentBytes) this.#response.destroy();
    return isFree;
  }

  /** What was sent has left, or the reader has. */
  drained(): Promise<void> {
    return drained(this.#response);
  }

  onClose(callback: () => void): void {
    this.#response.on('close', callback);
  }

  /** Ends it in good order. */
  end(): void {
    this.#response.end();
  }

  /** Breaks the connection, as a crash does. */
  destroy(): void {
    this.#response.destroy();
  }
}
