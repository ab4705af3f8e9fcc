import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import {
  type OnReadOpts,
  Socket,
  type SocketConstructorOpts,
  type TcpNetConnectOpts,
  connect,
  createServer,
} from 'node:net';
import type { DuplexOptions } from 'node:stream';
import type { Logger } from '../lib/log.ts';
import type { Endpoint } from './rules.ts';

export interface Asked {
  address: string;
  port: number;
  /** The endpoint for a client's address; undefined turns it away. */
  choose: (client: string) => Endpoint | undefined;
  failed: (client: string) => void;
  log: Logger;
}

export interface Listener {
  /** Lets go of the flows to endpoints that are no longer there: UDP has no other end. */
  release(stays: (endpoint: Endpoint) => boolean): void;
  close(): Promise<void>;
}

const maxConnections = 10_000;
const maxFlows = 4096;
/** Bytes that wait on one side before the other is held back. */
const highWaterMark = 1024 * 1024;
/** Bytes that are read at once, and buffers of a connection that wait to be used again. */
const smallestRead = 16 * 1024;
const largestRead = 256 * 1024;
const spareBuffers = 6;
/** How long an endpoint may take to accept; then the next is tried, so many in all. */
const connectMs = 5000;
const tries = 3;
/** Datagrams that wait for a client's socket. */
const maxWaiting = 64;

/** Pipes connections; those that are open when it closes end by themselves, for as long as the process lives. */
export function listenTcp({ address, port, choose, failed, log }: Asked, most = maxConnections): Promise<Listener> {
  const server = createServer(
    { allowHalfOpen: true, pauseOnConnect: true, noDelay: true, highWaterMark },
    (accepted) => {
      const { client, lead } = taken(accepted);
      client.on('error', () => client.destroy());
      const from = client.remoteAddress ?? '';
      reach(client, () => choose(from), failed.bind(undefined, from), tries).then(
        (target) => {
          if (!target) return client.resetAndDestroy();
          join(client, target);
          lead(target);
        },
        (err: unknown) => {
          log.debug({ err, address, port }, 'no endpoint could be reached');
          client.resetAndDestroy();
        },
      );
    },
  );
  server.maxConnections = most;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: address, port, ipv6Only: address.includes(':') }, () =>
      resolve({
        release: () => undefined,
        close: () => {
          server.close();
          return Promise.resolve();
        },
      }),
    );
  });
}

async function reach(
  client: Socket,
  choose: () => Endpoint | undefined,
  failed: () => void,
  left: number,
): Promise<Socket | undefined> {
  const endpoint = choose();
  if (!endpoint) return undefined;
  try {
    return await opened(endpoint, client);
  } catch (error) {
    failed();
    if (left <= 1) throw error;
    return reach(client, choose, failed, left - 1);
  }
}

/** What it sends goes to the client from the first byte on. */
function opened({ address, port }: Endpoint, client: Socket): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const settings: TcpNetConnectOpts & DuplexOptions = {
      ...{ host: address, port, allowHalfOpen: true, noDelay: true },
      highWaterMark,
      onread: relaying(
        () => socket,
        () => client,
      ),
    };
    const socket = connect(settings);
    const timer = setTimeout(() => socket.destroy(new Error(`${address}:${port} did not accept in time`)), connectMs);
    socket.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    socket.once('connect', () => {
      clearTimeout(timer);
      resolve(socket);
    });
  });
}

/**
 * A socket with an accepted connection that reads as those do that Node connects: it has no other way to tell a server how to. What was
 * accepted stays for the server to count. Nothing is read before `lead` says where to.
 */
function taken(accepted: Socket): { client: Socket; lead: (target: Socket) => void } {
  let target: Socket;
  const options = {
    ...{ handle: Reflect.get(accepted, '_handle') as unknown, pauseOnCreate: true, allowHalfOpen: true, highWaterMark },
    onread: relaying(
      () => client,
      () => target,
    ),
  };
  Reflect.set(accepted, '_handle', null);
  const client: Socket = new Socket(options as SocketConstructorOpts);
  client.once('close', () => accepted.destroy());
  return {
    client,
    lead: (to) => {
      target = to;
      client.resume();
    },
  };
}

/**
 * Reads of one socket are written to the other, from buffers that are used again once they are written; they grow with what comes, so that
 * silent connections hold little and busy ones need a quarter of the system calls that the sockets of Node make by themselves.
 */
function relaying(from: () => Socket, to: () => Socket): OnReadOpts {
  let size = smallestRead;
  const free: Buffer[] = [];
  return {
    buffer: () => free.pop() ?? Buffer.allocUnsafeSlow(size),
    callback: (count, buffer) => {
      const isFull = count === buffer.length;
      if (isFull && size < largestRead) [size, free.length] = [Math.min(size * 4, largestRead), 0];
      const target = to();
      // What one turn of the event loop reads is written at once: each write may have to wake who waits for it.
      if (target.writableCorked === 0) {
        target.cork();
        setImmediate(() => target.uncork());
      }
      const takesMore = target.write(buffer.subarray(0, count), () => {
        if (buffer.length === size && free.length < spareBuffers) free.push(Buffer.from(buffer.buffer));
      });
      if (!takesMore) target.once('drain', () => from().resume());
      return takesMore;
    },
  };
}

/** Either side may end its half; a side that breaks breaks the other. */
function join(client: Socket, target: Socket): void {
  for (const [one, other] of [
    [client, target],
    [target, client],
  ] as const) {
    one.on('end', () => other.end());
    one.on('error', () => other.resetAndDestroy());
    one.on('close', () => other.destroySoon());
  }
  if (client.destroyed) target.destroy();
}

interface Flow {
  endpoint: Endpoint;
  socket: UdpSocket;
  timer: NodeJS.Timeout;
  /** Until the socket is connected. */
  waiting: Buffer[] | undefined;
}

/** A socket for each client, so that answers find their way back; those who are silent for `idleMs` are forgotten. */
export async function listenUdp({ address, port, choose, failed, log }: Asked, idleMs: number): Promise<Listener> {
  const type = address.includes(':') ? 'udp6' : 'udp4';
  const server = createSocket({ type, ipv6Only: type === 'udp6' });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.bind(port, address, resolve);
  });
  server.on('error', (err) => log.warn({ err, address, port }, 'a UDP socket failed'));
  const flows = new Map<string, Flow>();
  const end = (key: string) => {
    const flow = flows.get(key);
    if (!flow) return;
    flows.delete(key);
    clearTimeout(flow.timer);
    flow.socket.close();
  };
  server.on('message', (bytes, from) => {
    const key = `${from.address} ${from.port}`;
    const flow = flows.get(key) ?? begin(key, from);
    if (!flow) return;
    flow.timer.refresh();
    if (!flow.waiting) flow.socket.send(bytes);
    else if (flow.waiting.length < maxWaiting) flow.waiting.push(bytes);
  });
  return {
    release: (stays) => {
      for (const [key, { endpoint }] of flows) if (!stays(endpoint)) end(key);
    },
    close: () => {
      for (const key of [...flows.keys()]) end(key);
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };

  function begin(key: string, from: RemoteInfo): Flow | undefined {
    const endpoint = choose(from.address);
    if (!endpoint) return undefined;
    if (flows.size >= maxFlows) end(flows.keys().next().value!);
    const socket = createSocket(endpoint.address.includes(':') ? 'udp6' : 'udp4');
    const flow: Flow = { endpoint, socket, timer: setTimeout(() => end(key), idleMs).unref(), waiting: [] };
    flows.set(key, flow);
    const broke = () => {
      failed(from.address);
      if (flows.get(key) === flow) end(key);
    };
    socket.on('error', broke);
    socket.on('message', (bytes) => {
      flow.timer.refresh();
      server.send(bytes, from.port, from.address);
    });
    socket.connect(endpoint.port, endpoint.address, (error?: Error) => {
      if (error) return broke();
      if (flows.get(key) !== flow) return;
      for (const bytes of flow.waiting ?? []) socket.send(bytes);
      flow.waiting = undefined;
    });
    return flow;
  }
}
