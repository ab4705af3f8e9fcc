/**
 * One HTTP connection to a Mesos server, never through a proxy, and the following of 307 to the leader.
 *
 *   POST /api/v1/scheduler ──▶ follower: 307 Location: //leader:5050/master/api/v1/scheduler
 *                          ──▶ leader:   200, 202 …
 */
import { Client } from 'undici';
import { errorOfStatus, MesosError } from './errors.ts';

export type Credentials = { principal: string; secret: string } | { token: string };

/** PEM texts. */
export interface Tls {
  ca?: string;
  cert?: string;
  key?: string;
  /** Checked against the server's certificate instead of the host of the URL. */
  serverName?: string;
}

export interface Target {
  /** `http://host:5050` or `https://…`; a path in it is ignored. */
  url: string;
  credentials?: Credentials | undefined;
  tls?: Tls | undefined;
  /** A unix socket to connect to instead of the URL's host (MESOS_DOMAIN_SOCKET). */
  socketPath?: string | undefined;
  /** Milliseconds; 10 s unless told. */
  connectTimeout?: number | undefined;
  /** Milliseconds until the head of an answer; 30 s unless told. */
  headersTimeout?: number | undefined;
}

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: AsyncIterable<Buffer> & {
    text(): Promise<string>;
    bytes(): Promise<Uint8Array>;
    destroy(error?: Error): unknown;
  };
}

export interface Post {
  path: string;
  headers: Record<string, string>;
  body: Buffer;
  signal?: AbortSignal | undefined;
  /** Milliseconds between two pieces of the body; 0 = for ever, as a stream needs. */
  bodyTimeout?: number;
}

const maxRedirects = 5;

/** Requests leave in the order in which they were given, one at a time unless `pipelining` allows more. */
export function connect(target: Target, { pipelining = 1, keepAliveTimeout = 60_000 } = {}): Client {
  const { tls, socketPath, connectTimeout = 10_000, headersTimeout = 30_000 } = target;
  return new Client(new URL(target.url).origin, {
    pipelining,
    headersTimeout,
    keepAliveTimeout,
    connect: {
      timeout: connectTimeout,
      ...(socketPath === undefined ? {} : { socketPath }),
      ...(tls?.ca === undefined ? {} : { ca: tls.ca }),
      ...(tls?.cert === undefined ? {} : { cert: tls.cert }),
      ...(tls?.key === undefined ? {} : { key: tls.key }),
      ...(tls?.serverName === undefined ? {} : { servername: tls.serverName }),
    },
  });
}

export function authorization(credentials: Credentials | undefined): Record<string, string> {
  if (!credentials) return {};
  if ('token' in credentials) return { authorization: `Bearer ${credentials.token}` };
  const pair = Buffer.from(`${credentials.principal}:${credentials.secret}`).toString('base64');
  return { authorization: `Basic ${pair}` };
}

/** One POST; an answer of any status. Throws MesosError `connection` or `closed`. */
export async function post(client: Client, request: Post): Promise<Answer> {
  try {
    const answer = await client.request({
      method: 'POST',
      path: request.path,
      headers: request.headers,
      body: request.body,
      // What undici asks for before it lets a request follow an unanswered one.
      ...(client.pipelining > 1 ? { idempotent: true, blocking: false } : {}),
      bodyTimeout: request.bodyTimeout ?? 30_000,
      ...(request.signal ? { signal: request.signal } : {}),
    });
    return { status: answer.statusCode, headers: answer.headers, body: answer.body };
  } catch (error) {
    throw connectionError(error, request.signal);
  }
}

export function connectionError(error: unknown, signal?: AbortSignal): MesosError {
  if (error instanceof MesosError) return error;
  if (signal?.aborted && signal.reason instanceof MesosError) return signal.reason;
  if (signal?.aborted) return new MesosError('closed', 'the caller stopped it', { cause: error });
  const { message, code } = error as Error & { code?: string };
  return new MesosError('connection', `the connection failed: ${message || code || String(error)}`, { cause: error });
}

/** The first answer that is no redirect, with the connection that gave it. The caller closes the client. */
export async function postToLeader(
  target: Target,
  request: Post,
): Promise<{ client: Client; url: string; path: string; answer: Answer }> {
  let { url, path } = { url: new URL(target.url).origin, path: request.path };
  for (let redirects = 0; ; redirects++) {
    const client = connect({ ...target, url });
    try {
      const answer = await post(client, { ...request, path });
      if (answer.status !== 307) return { client, url, path, answer };
      await answer.body.text();
      if (redirects >= maxRedirects)
        throw new MesosError('redirect', `no leading master after ${maxRedirects} redirects, the last from ${url}`);
      [url, path] = locationOf(answer, url);
    } catch (error) {
      await client.destroy();
      throw error;
    }
    await client.destroy();
  }
}

function locationOf(answer: Answer, from: string): [url: string, path: string] {
  const location = answer.headers['location'];
  const base = new URL(from);
  const to = typeof location === 'string' && URL.canParse(location, from) ? new URL(location, from) : undefined;
  if (!to || to.protocol !== base.protocol)
    throw new MesosError('redirect', `${from} redirects to "${String(location)}", which is no address of a master`);
  return [to.origin, to.pathname + to.search];
}

/** Throws the error of an answer that is not one of `expected`; reads its body. `shown` is what we asked with. */
export async function expectStatus(
  answer: Answer,
  what: string,
  expected: readonly number[],
  shown: Credentials | undefined,
): Promise<void> {
  if (expected.includes(answer.status)) return;
  const text = await answer.body.text();
  if (answer.status === 307)
    throw new MesosError('redirect', `${what} was redirected: this master does not lead any more`, { status: 307 });
  throw errorOfStatus(answer.status, answer.status === 401 ? refusalOf(shown) : text, what);
}

/** What 401 means; the servers say no more than "401 Unauthorized." */
function refusalOf(shown: Credentials | undefined): string {
  if (!shown) return 'the server asks for a principal and its secret, and none were given';
  if ('token' in shown) return 'the server does not accept our token';
  return `the server knows no principal "${shown.principal}" with our secret`;
}
