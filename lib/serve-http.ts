import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer } from './http.ts';

export interface HttpAnswer {
  code?: number;
  headers?: Record<string, string>;
  body: string | object;
}

export interface HttpServer {
  port: number;
  close(): Promise<void>;
}

/** A few GET paths on `host:port` (port 0 takes a free one); rejects where that cannot be bound. */
export async function serveHttp(
  address: string,
  paths: Readonly<Record<string, () => HttpAnswer | Promise<HttpAnswer>>>,
): Promise<HttpServer> {
  const server = createServer({ requestTimeout: 10_000 }, (request, response) => {
    reply(request, response, paths).catch((error: Error) => {
      response.writeHead(500, { 'content-type': 'text/plain' }).end(`${error.message}\n`);
    });
  });
  const at = address.lastIndexOf(':');
  const host = address.slice(0, at).replace(/^\[|\]$/g, '');
  if (at < 0 || !/^\d+$/.test(address.slice(at + 1))) throw new Error(`"${address}" should read <address>:<port>`);
  await listening(server, host, Number(address.slice(at + 1)));
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) =>
      reject(cause.code === 'EADDRINUSE' ? new Error(`port ${port} on ${host} is taken`, { cause }) : cause),
    );
    server.listen(port, host || undefined, resolve);
  });
}

async function reply(
  { method, url = '' }: IncomingMessage,
  response: ServerResponse,
  paths: Readonly<Record<string, () => HttpAnswer | Promise<HttpAnswer>>>,
): Promise<void> {
  const path = url.split('?')[0]!;
  const answer = Object.hasOwn(paths, path) ? paths[path] : undefined;
  if (!answer || (method !== 'GET' && method !== 'HEAD')) {
    response.writeHead(answer ? 405 : 404, { 'content-type': 'text/plain' }).end('404 page not found\n');
    return;
  }
  const { code = 200, headers = {}, body } = await answer();
  const json = typeof body !== 'string';
  response
    .writeHead(code, { 'content-type': json ? 'application/json' : 'text/plain', ...headers })
    .end(json ? JSON.stringify(body) : body);
}
