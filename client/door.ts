import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import type { Registry } from 'prom-client';
import { StatusError } from '../api/status.ts';
import { selfSigned } from '../lib/certs.ts';
import type { Logger } from '../lib/log.ts';
import { type Values, port, text } from '../lib/options.ts';
import { reloadTls } from '../lib/reload-tls.ts';
import type { Client } from './client.ts';
import { type Access, callerOf, delegatedAccess } from './delegated-access.ts';

export const doorOptions = {
  port: port('Port of /healthz and /metrics, over TLS; 0 for none', 0),
  bindAddress: text('Its address', '0.0.0.0', '<address>'),
  tlsCertFile: text('Its certificate (PEM); one of its own making unless set', '', '<file>'),
  tlsPrivateKeyFile: text('The key of that (PEM)', '', '<file>'),
  clientCaFile: text('CA of client certificates that are believed there (PEM)', '', '<file>'),
} as const;

export interface Door {
  port: number;
  close(): Promise<void>;
}

/** What is behind a door. */
export interface Rooms {
  /** The server's name, `km-scheduler`. */
  name: string;
  /** What is looked at for /healthz, /livez and /readyz; `problem` in words for whoever must act. */
  checks: () => { name: string; problem: string | undefined }[];
  /** Shown at /metrics. */
  registry: Registry;
  /** Other paths → what they do. */
  pages?: Readonly<Record<string, Page>>;
}

/**
 * One path: an answer, shown as JSON, text and `content` as they are; or texts told one after the other, as Server-Sent Events,
 * until whoever listens goes. StatusErrors are answered with their code.
 */
export type Page =
  | { method: 'GET' | 'POST'; answer(query: URLSearchParams): unknown }
  | {
      method: 'GET';
      /** How many may listen at once. */
      most: number;
      /** Answers what to do when nobody listens any more. */
      follow(tell: (text: string) => void): () => void;
    };

class Content {
  readonly type: string;
  readonly bytes: Buffer;
  constructor(type: string, bytes: Buffer) {
    this.type = type;
    this.bytes = bytes;
  }
}

/** An answer that is not JSON. */
export const content = (type: string, bytes: Buffer): unknown => new Content(type, bytes);

/** Who asks for what: https://kubernetes.io/docs/reference/access-authn-authz/webhook/#non-resource-paths */
interface Question {
  path: string;
  verb: string;
}

/** These tell nothing that anybody might not know. */
const open = /^\/(healthz|livez|readyz)(\/|$)/;

/**
 * The port of a server that works for an apiserver: its health for everybody, its figures and pages for whom the apiserver
 * lets get their paths. Rejects when the port cannot be had.
 */
export async function openDoor(
  o: Values<typeof doorOptions>,
  rooms: Rooms,
  { client, log, signal }: { client: Client; log: Logger; signal: AbortSignal },
): Promise<Door> {
  const { cert, key, ca } = o.tlsCertFile && o.tlsPrivateKeyFile ? tlsOf(o) : await ownCertificate(o, rooms.name);
  const access = delegatedAccess(client, (question: Question) => ({ nonResourceAttributes: question }), signal);
  const server = createServer({
    cert,
    key,
    minVersion: 'TLSv1.2',
    rejectUnauthorized: false,
    ...(ca ? { ca, requestCert: true } : {}),
  });
  server.on('request', (request, response) => {
    answer(request, response, access, rooms).catch((error: unknown) => {
      const refused = error instanceof StatusError;
      if (!refused) log.warn({ err: error, path: request.url }, 'a request could not be answered');
      if (refused && error.code === 401)
        response.setHeader('www-authenticate', 'Basic realm="km: any name, and a token as the password"');
      say(response, refused ? error.code : 500, refused ? error.message : 'the request could not be answered');
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? new Error(`port ${o.port} is taken: choose another with --port, or 0 for none`, { cause: error })
          : error,
      ),
    );
    server.listen(o.port, o.bindAddress, resolve);
  });
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  signal.addEventListener('abort', () => void close(), { once: true });
  if (o.tlsCertFile && o.tlsPrivateKeyFile) {
    const files = [o.tlsCertFile, o.tlsPrivateKeyFile, ...(o.clientCaFile ? [o.clientCaFile] : [])];
    reloadTls(server, files, () => tlsOf(o), { log, signal });
  }
  return { port: (server.address() as AddressInfo).port, close };
}

type DoorOptions = Values<typeof doorOptions>;

interface DoorTls {
  cert: string;
  key: string;
  ca?: string;
}

function tlsOf({ tlsCertFile, tlsPrivateKeyFile, clientCaFile }: DoorOptions): DoorTls {
  const read = (path: string) => readFileSync(path, 'utf8');
  const ca = clientCaFile ? { ca: read(clientCaFile) } : {};
  return { cert: read(tlsCertFile), key: read(tlsPrivateKeyFile), ...ca };
}

async function ownCertificate({ clientCaFile }: DoorOptions, name: string): Promise<DoorTls> {
  const hosts = [hostname(), 'localhost', '127.0.0.1'];
  const ca = clientCaFile ? { ca: readFileSync(clientCaFile, 'utf8') } : {};
  return { ...(await selfSigned({ commonName: `${name}@${hostname()}`, hosts })), ...ca };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  access: Access<Question>,
  rooms: Rooms,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'https://km');
  const { pathname } = url;
  const method = request.method === 'HEAD' ? 'GET' : (request.method ?? 'GET');
  if (!open.test(pathname)) await admit(request, { path: pathname, verb: method.toLowerCase() }, access);
  const pages = rooms.pages ?? {};
  const page = Object.hasOwn(pages, pathname) ? pages[pathname] : undefined;
  const served = page?.method ?? 'GET';
  if (method !== served) return say(response, 405, `only ${served} is served here`);
  if (open.test(pathname)) return health(response, url, rooms);
  if (page && 'follow' in page) return follow(response, page);
  if (page) return show(response, await page.answer(url.searchParams));
  const all = ['/healthz', '/metrics', ...Object.keys(pages)];
  if (pathname !== '/metrics') return say(response, 404, `there is no ${pathname}; there are ${all.join(', ')}`);
  response.setHeader('content-type', rooms.registry.contentType);
  response.end(await rooms.registry.metrics());
}

/** Pages of ours load nothing from elsewhere, and nobody frames them. */
const guarded = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'self'; frame-ancestors 'none'",
  'cache-control': 'no-cache',
};

function show(response: ServerResponse, value: unknown): void {
  if (typeof value === 'string') return say(response, 200, value);
  const { type, bytes } =
    value instanceof Content
      ? value
      : { type: 'application/json', bytes: Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`) };
  response.writeHead(200, { 'content-type': type, ...guarded });
  response.end(bytes);
}

const listeners = new WeakMap<object, number>();
/** Milliseconds between two signs of life, so that a connection that is cut is noticed. */
const beat = 15_000;

function follow(response: ServerResponse, page: Extract<Page, { most: number }>): void {
  const count = listeners.get(page) ?? 0;
  if (count >= page.most) return say(response, 503, `${count} look at this page already; try again later`);
  listeners.set(page, count + 1);
  response.writeHead(200, { 'content-type': 'text/event-stream', ...guarded });
  response.flushHeaders();
  // Whoever is slow misses what came meanwhile, and is told the last of it.
  let waiting: string | undefined;
  let isFull = false;
  const tell = (text: string) => {
    if (isFull) waiting = text;
    else isFull = !response.write(`data: ${text}\n\n`);
  };
  response.on('drain', () => {
    isFull = false;
    const text = waiting;
    waiting = undefined;
    if (text !== undefined) tell(text);
  });
  const beating = setInterval(() => isFull || response.write(':\n\n'), beat);
  const stop = page.follow(tell);
  response.on('close', () => {
    clearInterval(beating);
    listeners.set(page, listeners.get(page)! - 1);
    stop();
  });
}

async function admit(request: IncomingMessage, question: Question, access: Access<Question>): Promise<void> {
  // A browser asks for a name and a password: any name, and a token.
  const basic = /^Basic\s+(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  const password =
    basic &&
    Buffer.from(basic, 'base64')
      .toString()
      .replace(/^[^:]*:/, '');
  if (password !== undefined) request.headers.authorization = `Bearer ${password}`;
  const caller = await callerOf(request, access);
  if (!caller) throw new StatusError(401, 'Unauthorized', 'Unauthorized');
  if (caller.groups.includes('system:masters') || (await access.may(caller, question))) return;
  throw new StatusError(403, 'Forbidden', `User "${caller.name}" cannot ${question.verb} path "${question.path}"`);
}

/** `ok`, or a line for each check: when one fails, or `?verbose` asks for them. `/healthz/<name>` is that check alone. */
function health(response: ServerResponse, url: URL, rooms: Rooms): void {
  const [, door = '', only] = url.pathname.split('/');
  const excluded = url.searchParams.getAll('exclude');
  const checks = rooms.checks().filter(({ name }) => (only ? name === only : !excluded.includes(name)));
  if (only && checks.length === 0) return say(response, 404, `there is no check ${only}`);
  const failed = checks.some(({ problem }) => problem !== undefined);
  if (!failed && (only || !url.searchParams.has('verbose'))) return say(response, 200, 'ok');
  const lines = checks.map(({ name, problem }) => (problem ? `[-]${name} failed: ${problem}` : `[+]${name} ok`));
  say(response, failed ? 500 : 200, [...lines, `${door} check ${failed ? 'failed' : 'passed'}`].join('\n'));
}

function say(response: ServerResponse, code: number, words: string): void {
  if (response.headersSent) return void response.destroy();
  response.writeHead(code, { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' });
  response.end(words);
}
