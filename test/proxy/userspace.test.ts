import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket as TcpSocket } from 'node:net';
import { randomInt } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { freePort } from '../../cli/ports.ts';
import { silent } from '../../lib/log.ts';
import { Balancer } from '../../proxy/balancer.ts';
import type { Endpoint, ServicePort } from '../../proxy/rules.ts';
import { UserspaceWriter } from '../../proxy/userspace.ts';
import { eventually } from '../eventually.ts';
import { servicePort } from './plans.ts';

const clusterIP = `127.${randomInt(200, 250)}.0.10`;
const pods: { name: string; tcp: Server; udp: Socket; endpoint: Endpoint }[] = [];
let writer: UserspaceWriter;
const endpoints = (...numbers: number[]) => numbers.map((i) => pods[i]!.endpoint);
const web = (more: Partial<ServicePort> = {}) =>
  servicePort({ clusterIP, port: 8000, cluster: endpoints(0, 1, 2), ...more });
const put = (...ports: ServicePort[]) => writer.apply(new Map(ports.map((port) => [port.key, port])));

/** What comes back after everything was said and our half is closed. */
function tcp(text = '', host = clusterIP, port = 8000): Promise<string> {
  return new Promise((resolve) => {
    let said = '';
    const socket = connect({ host, port, allowHalfOpen: true }, () => socket.end(text));
    socket.on('error', (error: { code?: string }) => resolve(error.code ?? 'error'));
    socket.on('data', (chunk: Buffer) => (said += chunk.toString()));
    socket.on('close', () => resolve(said));
  });
}
const many = async (times: number) => {
  const answers = new Set<string>();
  for (let i = 0; i < times; i++) answers.add(await tcp());
  return [...answers].sort();
};
async function udp(socket: Socket): Promise<string> {
  socket.send('x', 8000, clusterIP);
  const [answer] = (await once(socket, 'message', { signal: AbortSignal.timeout(3000) })) as [Buffer];
  return answer.toString();
}

beforeAll(async () => {
  for (const name of ['be0', 'be1', 'be2']) {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => socket.destroy());
      socket.write(name);
      socket.pipe(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const datagrams = createSocket('udp4');
    datagrams.on('message', (_bytes, from) => datagrams.send(name, from.port, from.address));
    datagrams.bind(port, '127.0.0.1');
    await once(datagrams, 'listening');
    pods.push({ name, tcp: server, udp: datagrams, endpoint: { address: '127.0.0.1', port } });
  }
});
afterAll(() => {
  for (const { tcp: server, udp: socket } of pods) {
    server.close();
    socket.close();
  }
});
beforeEach(() => void (writer = new UserspaceWriter({ nodePortAddresses: ['127.0.0.1/32'], udpIdle: 60_000 }, silent)));
afterEach(() => writer.close());

test('a cluster IP leads to every endpoint in turn, both ways, each half closed by itself', async () => {
  expect(await put(web())).toEqual([]);
  expect(await many(3)).toEqual(['be0', 'be1', 'be2']);
  const much = 'all of it '.repeat(100_000);
  expect((await tcp(much)).slice(3)).toBe(much);
});

const sixteenMegabytes = Buffer.from(Uint32Array.from({ length: 4 * 1024 * 1024 }, (_, i) => i).buffer);

/** The one endpoint of the Service from now on. */
async function endpointIs(server: Server): Promise<void> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await put(web({ cluster: [{ address: '127.0.0.1', port }] }));
}

/** All that comes, read slowly: whole buffers wait at the proxy meanwhile. */
async function readSlowly(socket: TcpSocket): Promise<Buffer> {
  const got: Buffer[] = [];
  for await (const chunk of socket) {
    got.push(chunk as Buffer);
    if (got.length % 16 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return Buffer.concat(got);
}

test('what an endpoint sends arrives whole, though its client reads slowly; a client that goes away ends it', async () => {
  const sockets: TcpSocket[] = [];
  const source = createServer((socket) => {
    sockets.push(socket.on('error', () => socket.destroy()));
    socket.end(sixteenMegabytes);
  });
  await endpointIs(source);
  try {
    const got = await readSlowly(connect({ host: clusterIP, port: 8000 }));
    expect(got.equals(sixteenMegabytes)).toBe(true);
    const fickle = connect({ host: clusterIP, port: 8000 });
    await once(fickle, 'data');
    fickle.resetAndDestroy();
    await eventually(() => expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, true]));
  } finally {
    source.close();
  }
});

test('what a client sends arrives whole, though its endpoint reads slowly', async () => {
  const got = Promise.withResolvers<Buffer>();
  const sink = createServer((socket) => void readSlowly(socket).then(got.resolve, got.reject));
  await endpointIs(sink);
  try {
    connect({ host: clusterIP, port: 8000 }).end(sixteenMegabytes);
    expect((await got.promise).equals(sixteenMegabytes)).toBe(true);
  } finally {
    sink.close();
  }
});

test('a node port; without endpoints both refuse, and again there are some', async () => {
  const nodePort = await freePort();
  await put(web({ nodePort }));
  expect(await tcp('', '127.0.0.1', nodePort)).toMatch(/^be/);
  await put(web({ nodePort, cluster: [] }));
  expect(await tcp()).toBe('ECONNREFUSED');
  expect(await tcp('', '127.0.0.1', nodePort)).toBe('ECONNREFUSED');
  await put(web({ nodePort, cluster: endpoints(1) }));
  expect(await many(3)).toEqual(['be1']);
  expect(await tcp('', '127.0.0.1', nodePort)).toBe('be1');
});

test('an endpoint that does not accept is passed over', async () => {
  await put(web({ cluster: [{ address: '127.0.0.1', port: await freePort() }, ...endpoints(2)] }));
  expect(await many(4)).toEqual(['be2']);
});

test('open connections outlive a change', async () => {
  await put(web({ cluster: endpoints(0) }));
  const socket = connect({ host: clusterIP, port: 8000 });
  await once(socket, 'data');
  await put(web({ cluster: endpoints(1) }));
  await writer.apply(new Map([['default/web:/TCP', undefined]]));
  socket.write('still here');
  const [echoed] = (await once(socket, 'data')) as [Buffer];
  expect(echoed.toString()).toBe('still here');
  socket.destroy();
  expect(await tcp()).toBe('ECONNREFUSED');
});

test('affinity, Local, source ranges', async () => {
  await put(web({ affinitySeconds: 60 }));
  expect(await many(6)).toHaveLength(1);
  await put(web({ internalLocal: true, local: endpoints(2) }));
  expect(await many(6)).toEqual(['be2']);
  const loadBalancerIPs = [clusterIP.replace(/10$/, '11')];
  await put(web({ loadBalancerIPs, sourceRanges: ['192.0.2.0/24'] }));
  expect(await tcp('', loadBalancerIPs[0])).toBe('ECONNRESET');
  await put(web({ loadBalancerIPs, sourceRanges: ['192.0.2.0/24', '127.0.0.0/8'] }));
  expect(await tcp('', loadBalancerIPs[0])).toMatch(/^be/);
});

test('UDP: a client keeps its endpoint until that goes; a silent one is forgotten', async () => {
  const key = 'default/web:/UDP';
  const client = createSocket('udp4');
  await put(web({ key, protocol: 'UDP', cluster: endpoints(0, 1) }));
  expect(new Set([await udp(client), await udp(client), await udp(client)])).toEqual(new Set(['be0']));
  await put(web({ key, protocol: 'UDP', cluster: endpoints(1) }));
  expect(await udp(client)).toBe('be1');
  await writer.close();
  writer = new UserspaceWriter({ nodePortAddresses: [], udpIdle: 5 }, silent);
  await put(web({ key, protocol: 'UDP', cluster: endpoints(0, 1) }));
  const first = await udp(client);
  await eventually(async () => expect(await udp(client)).not.toBe(first));
  client.close();
});

test('what cannot be bound is named with what to do; the other ports are served', async () => {
  const taken = servicePort({ key: 'default/taken:/TCP', clusterIP: '127.0.0.1', port: pods[0]!.endpoint.port });
  const refused = await put(
    { ...taken, cluster: endpoints(1) },
    web({ key: 'default/far:/TCP', clusterIP: '192.0.2.1' }),
    web({ key: 'default/sctp:/SCTP', protocol: 'SCTP' }),
    web(),
  );
  expect(refused.map(({ key, reason }) => `${key} ${reason}`)).toEqual([
    expect.stringMatching(/^default\/taken.* is taken by another program/),
    expect.stringMatching(/^default\/far.* is not on this machine; use node ports/),
    expect.stringMatching(/^default\/sctp.*SCTP cannot be served/),
  ]);
  expect(await tcp()).toMatch(/^be/);
});

test('a balancer remembers a client for as long as affinity lasts, from its last visit', () => {
  const two = [1, 2].map((port) => ({ address: '10.1.0.1', port }));
  const balancer = new Balancer(two, 10);
  const ports = [0, 9_000, 18_000, 28_000].map((now) => balancer.choose('me', now)?.port);
  expect(ports).toEqual([1, 1, 1, 2]);
  balancer.change([two[0]!], 10);
  expect(balancer.choose('me', 28_001)).toEqual(two[0]);
  balancer.change([], 10);
  expect(balancer.choose('me', 28_002)).toBeUndefined();
});
