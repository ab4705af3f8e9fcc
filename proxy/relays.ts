import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { Socket, type SocketConstructorOpts, type TcpNetConnectOpts, connect, createServer } from 'node:net';
import type { Logger } from '../lib/log.ts';
import { RelayMemory, relaying } from './relaying.ts';
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

const maxFlows = 4096;
/** How long an endpoint may take to accept; then the next is tried, so many in all. */
const connectMs = 5000;
const tries = 3;
/** Datagrams that wait for a client's socket. */
const maxWaiting = 64;

interface RelayLimits {
  /** At once, of one port. */
  connections: number;
  memory: RelayMemory;
}
const usual: RelayLimits = { connections: 10_000, memory: new RelayMemory() };

/** Pipes connections; those that are open when it closes end by themselves, for as long as the process lives. */
export function listenTcp(
  { address, port, choose, failed, log }: Asked,
  { connections, memory } = usual,
): Promise<Listener> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (accepted) => {
    const { client, lead } = taken(accepted, memory);
    client.on('error', () => client.destroy());
    const from = client.remoteAddress ?? '';
    const open = (endpoint: Endpoint) => opened(endpoint, client, memory);
    reach(open, () => choose(from), failed.bind(undefined, from), tries).then(
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
  });
  server.maxConnections = connections;
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
  open: (endpoint: Endpoint) => Promise<Socket>,
  choose: () => Endpoint | undefined,
  failed: () => void,
  left: number,
): Promise<Socket | undefined> {
  const endpoint = choose();
  if (!endpoint) return undefined;
  try {
    return await open(endpoint);
  } catch (error) {
    failed();
    if (left <= 1) throw error;
    return reach(open, choose, failed, left - 1);
  }
}

/** What it sends goes to the client from the first byte on. */
function opened({ address, port }: Endpoint, client: Socket, memory: RelayMemory): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const settings: TcpNetConnectOpts = {
      ...{ host: address, port, allowHalfOpen: true, noDelay: true },
      onread: relaying(
        () => socket,
        () => client,
        memory,
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
function taken(accepted: Socket, memory: RelayMemory): { client: Socket; lead: (target: Socket) => void } {
  let target: Socket;
  const options = {
    ...{ handle: Reflect.get(accepted, '_handle') as unknown, pauseOnCreate: true, allowHalfOpen: true },
    onread: relaying(
      () => client,
      () => target,
      memory,
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
    // Nobody can be answered there.
    if (from.port === 0) return;
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
