import { once } from 'node:events';
import { createServer } from 'node:net';

/** Abstract: it belongs to the network namespace, as rules do, and is free when its process ends, however that ends. */
const name = '\0km-proxy';

export interface Claim {
  close(): Promise<void>;
}

/**
 * Claims the rules of this network namespace: two proxies would take each other's away. Rejects with what to do where
 * somebody has them. Linux.
 */
export async function onlyOne(): Promise<Claim> {
  const server = createServer((socket) => socket.destroy());
  server.listen(name);
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw new Error(
      'another km proxy writes the rules of this network namespace: stop it first, or give this one a namespace of its own',
      { cause },
    );
  }
  server.unref();
  return { close: () => new Promise((resolve) => server.close(() => resolve())) };
}
