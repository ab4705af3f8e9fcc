import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/**
 * Below what systems give to outgoing connections (from 32,768 on Linux) and below node ports: of what the system itself
 * calls free, somebody's connection may have taken it before a server listens there.
 */
const chosen = { from: 11_000, to: 30_000 };
const given = new Set<number>();

/** A port that is free now on the address; each is given once in this process. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = randomInt(chosen.from, chosen.to);
    if (given.has(port) || !(await isFree(port, host))) continue;
    given.add(port);
    return port;
  }
  return listenOnce(0, host);
}

export const isFree = (port: number, host = '127.0.0.1'): Promise<boolean> =>
  listenOnce(port, host).then(
    () => true,
    () => false,
  );

/** Rejects with a sentence that names the port and the flag when somebody has it. */
export async function checkPort(port: number, flag: string, host = '127.0.0.1'): Promise<void> {
  try {
    await listenOnce(port, host);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'EADDRINUSE' ? 'is already in use' : `cannot be used (${message})`;
    throw new Error(`port ${port} ${why}; choose another with ${flag}`, { cause: error });
  }
}

/** Listens for a moment; resolves with the port. Rejects with the system's error. */
export function listenOnce(port: number, host: string, protocol: 'tcp' | 'udp' = 'tcp'): Promise<number> {
  return protocol === 'tcp' ? listenTcp(port, host) : listenUdp(port, host);
}

function listenTcp(port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ port, host, exclusive: true }, () => {
      const address = server.address();
      const found = typeof address === 'object' && address ? address.port : port;
      server.close(() => resolve(found));
    });
  });
}

function listenUdp(port: number, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    socket.once('error', reject);
    socket.bind({ port, address, exclusive: true }, () => {
      const { port: found } = socket.address();
      socket.close(() => resolve(found));
    });
  });
}
