import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import { StatusError } from '../api/status.ts';
import type { Client } from '../client/client.ts';
import { type Access, callerOf, delegatedAccess } from '../client/delegated-access.ts';
import { selfSigned } from '../lib/certs.ts';
import type { Logger } from '../lib/log.ts';
import type { Figures } from './figures.ts';
import type { Options } from './options.ts';

export interface Door {
  port: number;
  close(): Promise<void>;
}

type DoorOptions = Pick<Options, 'bindAddress' | 'port' | 'tlsCertFile' | 'tlsPrivateKeyFile' | 'clientCaFile'>;

/** These tell nothing that anybody might not know. */
const open = /^\/(healthz|livez|readyz)(\/|$)/;

/**
 * The controller manager's own port: /healthz with one check a controller, for everybody; /metrics for whom the apiserver lets
 * get that path. https://kubernetes.io/docs/reference/access-authn-authz/webhook/#non-resource-paths
 */
export async function openDoor(
  o: DoorOptions,
  deps: { client: Client; log: Logger; signal: AbortSignal; figures: Figures },
): Promise<Door> {
  const { cert, key } = await certificateOf(o);
  const ca = o.clientCaFile ? { ca: readFileSync(o.clientCaFile), requestCert: true } : {};
  const access = delegatedAccess(deps.client, (path: string) => pathQuestion(path), deps.signal);
  const server = createServer({ cert, key, ...ca, rejectUnauthorized: false, minVersion: 'TLSv1.2' });
  server.on('request', (request, response) => {
    answer(request, response, access, deps.figures).catch((error: unknown) => {
      const refused = error instanceof StatusError;
      if (!refused) deps.log.warn({ err: error, path: request.url }, 'a request could not be answered');
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
  deps.signal.addEventListener('abort', () => void close(), { once: true });
  return { port: (server.address() as AddressInfo).port, close };
}

const pathQuestion = (path: string) => ({ nonResourceAttributes: { path, verb: 'get' } });

async function certificateOf(o: DoorOptions): Promise<{ cert: string; key: string }> {
  const { tlsCertFile, tlsPrivateKeyFile } = o;
  if (tlsCertFile && tlsPrivateKeyFile)
    return { cert: readFileSync(tlsCertFile, 'utf8'), key: readFileSync(tlsPrivateKeyFile, 'utf8') };
  return selfSigned({
    commonName: `km-controller-manager@${hostname()}`,
    hosts: [hostname(), 'localhost', '127.0.0.1'],
  });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  access: Access<string>,
  figures: Figures,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'https://controller-manager');
  const { pathname } = url;
  if (!open.test(pathname)) await admit(request, pathname, access);
  if (request.method !== 'GET' && request.method !== 'HEAD') return say(response, 405, 'only GET is served here');
  if (open.test(pathname)) return health(response, url, figures);
  if (pathname !== '/metrics') return say(response, 404, `there is no ${pathname}; there are /healthz and /metrics`);
  response.setHeader('content-type', figures.registry.contentType);
  response.end(await figures.registry.metrics());
}

async function admit(request: IncomingMessage, path: string, access: Access<string>): Promise<void> {
  const caller = await callerOf(request, access);
  if (!caller) throw new StatusError(401, 'Unauthorized', 'Unauthorized');
  if (caller.groups.includes('system:masters') || (await access.may(caller, path))) return;
  throw new StatusError(403, 'Forbidden', `User "${caller.name}" cannot get path "${path}"`);
}

/** `ok`, or a line for each check: when one fails, or `?verbose` asks for them. `/healthz/<name>` is that check alone. */
function health(response: ServerResponse, url: URL, figures: Figures): void {
  const [, door = '', only] = url.pathname.split('/');
  const excluded = url.searchParams.getAll('exclude');
  const checks = figures.checks().filter(({ name }) => (only ? name === only : !excluded.includes(name)));
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
