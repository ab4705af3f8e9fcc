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
  const bare = await asked((echo.address() as AddressInfo).port);
  const named = await asked(dns.port);
  const name = `address of a Service over UDP, ${inFlight} in flight`;
  report({ bench: 'dns', case: name, value: named.rate, unit: '/s', goal: 20_000, raw: bare.rate });
  report({ bench: 'dns', case: `${name}, p99`, value: named.p99, unit: 'ms', goal: 5, lower: true, raw: bare.p99 });
  echo.close();
  stopping.abort();
  await dns.closed;
  await client.close();
  await server.stop();
}

interface Asked {
  /** Answers a second. */
  rate: number;
  /** Milliseconds from a question to its answer. */
  p99: number;
}

/** Medians of what a thread of its own gets. */
async function asked(port: number): Promise<Asked> {
  const late: number[] = [];
  const rate = await median(runs, async () => {
    const worker = new Worker(new URL(import.meta.url), { workerData: port });
    const [one] = (await once(worker, 'message')) as [Asked];
    await worker.terminate();
    late.push(one.p99);
    return one.rate;
  });
  return { rate, p99: late.sort((a, b) => a - b)[runs >> 1]! };
}

async function load(port: number): Promise<void> {
  const questions = [{ name: 'web.default.svc.cluster.local', type: 'A' as const }];
  const queries = Array.from({ length: inFlight }, (_, id) => encode({ type: 'query', id, questions }));
  const socket = createSocket('udp4');
  socket.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const sent = new Float64Array(inFlight);
  const took: number[] = [];
  const ask = (id: number) => {
    sent[id] = performance.now();
    socket.send(queries[id]!);
  };
  socket.on('message', (answer) => {
    const id = answer.readUInt16BE(0);
    took.push(performance.now() - sent[id]!);
    ask(id);
  });
  const started = performance.now();
  for (let id = 0; id < inFlight; id++) ask(id);
  setTimeout(() => {
    const rate = (took.length * 1000) / (performance.now() - started);
    took.sort((a, b) => a - b);
    parentPort!.postMessage({ rate, p99: took[Math.floor(took.length * 0.99)]! } satisfies Asked);
  }, seconds * 1000);
}
