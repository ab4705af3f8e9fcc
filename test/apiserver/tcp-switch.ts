import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';

export interface TcpSwitch {
  port: number;
  close: () => Promise<void>;
}

/** One address before several servers on this machine: a connection goes to the first that takes it, and ends with it. */
export async function startSwitch(ports: readonly number[]): Promise<TcpSwitch> {
  const open = new Set<Socket>();
  let turn = 0;
  const server: Server = createServer((client) => {
    open.add(client);
    client.on('close', () => open.delete(client));
    client.on('error', () => client.destroy());
    turn += 1;
    void join(client, [ports[turn % ports.length]!, ...ports]);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      for (const socket of open) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

async function join(client: Socket, ports: readonly number[]): Promise<void> {
  for (const port of ports) {
    const behind = await reach(port);
    if (!behind) continue;
    behind.on('error', () => client.destroy());
    behind.on('close', () => client.destroy());
    client.on('close', () => behind.destroy());
    client.pipe(behind);
    behind.pipe(client);
    return;
  }
  client.destroy();
}

const reach = (port: number): Promise<Socket | undefined> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(undefined));
    socket.once('connect', () => resolve(socket));
  });
