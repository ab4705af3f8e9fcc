/**
 * Answers of the name server, asked over UDP from a second thread. `raw` is a socket that sends back what it got.
 *
 *   node bench/dns.ts
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { encode } from 'dns-packet';
import { Client } from '../client/client.ts';
import { options, start } from '../dns/index.ts';
import { silent } from '../lib/log.ts';
import { defaultsOf } from '../lib/options.ts';
import { adminToken, startServer } from '../test/apiserver/harness.ts';
import { median, report } from './report.ts';

const seconds = 2;
const runs = 5;
const inFlight = 64;

if (isMainThread) await main();
else await load(workerData as number);

async function main(): Promise<void> {
  const server = await startServer();
  const client = new Client({ server: server.url, ca: server.ca.pem, token: adminToken });
  const stopping = new AbortController();
  await server.call('POST', '/api/v1/namespaces/default/services', {
    metadata: { name: 'web' },
    spec: { clusterIP: '10.96.0.50', ports: [{ name: 'http', port: 80 }] },
  });
  const dns = await start({ ...defaultsOf(options), port: 0 }, { client, log: silent, signal: stopping.signal });
  const echo = createSocket('udp4');
  echo.on('message', (bytes, from) => echo.send(bytes, from.port, from.address));
  echo.bind(0, '127.0.0.1');
  await once(echo, 'listening');
  const raw = await median(runs, () => measure((echo.address() as AddressInfo).port));
  const value = await median(runs, () => measure(dns.port));
  report({
    bench: 'dns',
    case: `address of a Service over UDP, ${inFlight} in flight`,
    value,
    unit: '/s',
    goal: 20_000,
    raw,
  });
  echo.close();
  stopping.abort();
  await dns.closed;
  await client.close();
  await server.stop();
}

/** Answers a second that a thread of its own gets. */
async function measure(port: number): Promise<number> {
  const worker = new Worker(new URL(import.meta.url), { workerData: port });
  const [rate] = (await once(worker, 'message')) as [number];
  await worker.terminate();
  return rate;
}

async function load(port: number): Promise<void> {
  const query = encode({ type: 'query', id: 1, questions: [{ name: 'web.default.svc.cluster.local', type: 'A' }] });
  const socket = createSocket('udp4');
  socket.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  let count = 0;
  socket.on('message', () => {
    count += 1;
    socket.send(query);
  });
  const started = performance.now();
  for (let i = 0; i < inFlight; i++) socket.send(query);
  setTimeout(() => parentPort!.postMessage((count * 1000) / (performance.now() - started)), seconds * 1000);
}
