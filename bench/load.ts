/**
 * Requests to a server over TLS, as many at a time as one asks for. Written on bare sockets, so that the load takes
 * little of the machine that it shares with what it measures.
 */
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { adminToken } from '../test/apiserver/harness.ts';

export type Request = [method: string, path: string, body?: string | undefined, accept?: string];

export interface Connection {
  socket: TLSSocket;
  /** Resolves when the whole answer is in, with the milliseconds to its first byte. */
  ask: (request: Request) => Promise<number>;
}

/** What a request looks like on the wire. */
export function bytesOf([method, path, body, accept]: Request): string {
  const head =
    `${method} ${path} HTTP/1.1\r\nHost: km\r\nAuthorization: Bearer ${adminToken}\r\n` +
    (accept === undefined ? '' : `Accept: ${accept}\r\n`);
  const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  return body === undefined
    ? `${head}\r\n`
    : `${head}Content-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

export async function dial(port: number): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  return socket;
}

/** One keep-alive connection. */
export async function open(port: number): Promise<Connection> {
  const socket = await dial(port);
  let left = 0;
  let head: Buffer = Buffer.alloc(0);
  let asked = 0;
  let firstByte = 0;
  let done: (firstByte: number) => void = () => undefined;
  let failed: (error: Error) => void = () => undefined;
  socket.on('error', (error) => failed(error));
  socket.on('data', (chunk: Buffer) => {
    if (left > 0) left -= chunk.length;
    else {
      if (head.length === 0) firstByte = performance.now() - asked;
      head = head.length > 0 ? Buffer.concat([head, chunk]) : chunk;
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      const text = head.toString('latin1', 0, end);
      if (!text.startsWith('HTTP/1.1 20')) return failed(new Error(head.toString()));
      left = Number(/content-length: (\d+)/i.exec(text)![1]) - (head.length - end - 4);
      head = Buffer.alloc(0);
    }
    if (left <= 0) {
      left = 0;
      done(firstByte);
    }
  });
  return {
    socket,
    ask: (request) =>
      new Promise((resolve, reject) => {
        [done, failed, asked] = [resolve, reject, performance.now()];
        socket.write(bytesOf(request));
      }),
  };
}

/** Answers a second that `connections` callers get, each with one request in flight, for so long or for so many. */
export async function load(
  port: number,
  connections: number,
  next: () => Request,
  { seconds = 3, limit = Infinity }: { seconds?: number; limit?: number } = {},
): Promise<number> {
  const all = await Promise.all(Array.from({ length: connections }, () => open(port)));
  const rate = await rateOf(connections, seconds, (caller) => all[caller]!.ask(next()), limit);
  for (const { socket } of all) socket.destroy();
  return rate;
}

/** How often a second `call` ends with `concurrency` of them at a time. */
export async function rateOf(
  concurrency: number,
  seconds: number,
  call: (caller: number) => Promise<unknown>,
  limit = Infinity,
): Promise<number> {
  let count = 0;
  let started = 0;
  const begin = performance.now();
  await Promise.all(
    Array.from({ length: concurrency }, async (_, caller) => {
      while (performance.now() - begin < seconds * 1000 && started < limit) {
        started += 1;
        await call(caller);
        count += 1;
      }
    }),
  );
  return (count * 1000) / (performance.now() - begin);
}
