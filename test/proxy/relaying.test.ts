import { once } from 'node:events';
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { freePort } from '../../cli/ports.ts';
import { delay } from '../../lib/delay.ts';
import { silent } from '../../lib/log.ts';
import { RelayMemory } from '../../proxy/relaying.ts';
import { type Listener, listenTcp } from '../../proxy/relays.ts';
import { eventually } from '../eventually.ts';

const address = '127.0.0.1';
const MiB = 1024 * 1024;
const clients = 12;
/** What one connection may have while there is room for all, and what it reads at once. */
const [mostOfOne, largestRead] = [2 * MiB, MiB / 2];
const budget = 4 * MiB;
/** More than the kernel keeps of a connection that nobody reads. */
const each = 24 * MiB;

const memory = new RelayMemory(budget);
let endpoint: Server;
let listener: Listener;
let port: number;

beforeAll(async () => {
  endpoint = createServer((socket) => socket.on('error', () => socket.destroy()).end(Buffer.alloc(each, 'x')));
  endpoint.listen(0, address);
  await once(endpoint, 'listening');
  const target = { address, port: (endpoint.address() as AddressInfo).port };
  port = await freePort();
  const asked = { address, port, choose: () => target, failed: () => undefined, log: silent };
  listener = await listenTcp(asked, { connections: clients, memory });
});
afterAll(async () => {
  await listener.close();
  endpoint.close();
});

/** Clients that read nothing, once no more is read for them either. */
async function silentClients(): Promise<Socket[]> {
  const sockets = Array.from({ length: clients }, () => connect({ host: address, port }).pause());
  let before = -1;
  await eventually(async () => {
    const now = memory.waiting;
    const isStill = now > budget && now === before;
    before = now;
    await delay(100);
    expect(isStill).toBe(true);
  }, 20_000);
  return sockets;
}

test('what waits for clients that do not read is bounded for all together, and all of it arrives once they do', async () => {
  expect(budget + clients * largestRead).toBeLessThan(clients * mostOfOne);
  const sockets = await silentClients();
  expect(memory.waiting).toBeLessThanOrEqual(budget + clients * largestRead);
  const read = await Promise.all(
    sockets.map(async (socket) => {
      let bytes = 0;
      for await (const chunk of socket as AsyncIterable<Buffer>) bytes += chunk.length;
      return bytes;
    }),
  );
  expect(read).toEqual(read.map(() => each));
  await eventually(() => expect(memory.waiting).toBe(0), 3_000);
});

test('nothing is counted any more of connections that broke', async () => {
  for (const socket of await silentClients()) socket.resetAndDestroy();
  await eventually(() => expect(memory.waiting).toBe(0), 5_000);
});
