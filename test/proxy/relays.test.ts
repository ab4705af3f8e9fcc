import { once } from 'node:events';
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { freePort } from '../../cli/ports.ts';
import { silent } from '../../lib/log.ts';
import { RelayMemory } from '../../proxy/relaying.ts';
import { type Listener, listenTcp } from '../../proxy/relays.ts';
import { eventually } from '../eventually.ts';

const most = 2;
const address = '127.0.0.1';
let endpoint: Server;
let listener: Listener;
let port: number;
const open = (): Socket => connect({ host: address, port }).on('error', () => undefined);

beforeAll(async () => {
  endpoint = createServer((socket) => socket.on('error', () => socket.destroy()).pipe(socket));
  endpoint.listen(0, address);
  await once(endpoint, 'listening');
  const target = { address, port: (endpoint.address() as AddressInfo).port };
  port = await freePort();
  const failed = () => undefined;
  const limits = { connections: most, memory: new RelayMemory() };
  listener = await listenTcp({ address, port, choose: () => target, failed, log: silent }, limits);
});
afterAll(async () => {
  await listener.close();
  endpoint.close();
});

/** Whether somebody echoes on a connection of its own. */
const answers = (): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = open();
    socket.once('data', () => {
      resolve(true);
      socket.destroy();
    });
    socket.once('close', () => resolve(false));
    socket.write('x');
  });

test('so many connections at once, however many there were before, and however they ended', async () => {
  for (let i = 0; i < 3 * most; i++) await eventually(async () => expect(await answers()).toBe(true), 3_000);
  const held = Array.from({ length: most }, open);
  await Promise.all(held.map((socket) => once(socket, 'connect')));
  expect(await answers()).toBe(false);
  held[0]!.resetAndDestroy();
  held[1]!.end();
  await eventually(async () => expect(await answers()).toBe(true), 3_000);
});
