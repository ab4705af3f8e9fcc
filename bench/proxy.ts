/**
 * Services: how long rules take to be written (5,000 Services with 50,000 endpoints, by nft, in a network namespace of our
 * own), and what a TCP transfer through the userspace proxy loses against one without it. Takes root for the rules.
 *
 *   node bench/proxy.ts
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { freePort } from '../cli/ports.ts';
import { silent } from '../lib/log.ts';
import { nftablesWriter } from '../proxy/nftables.ts';
import type { ServicePort } from '../proxy/rules.ts';
import { UserspaceWriter } from '../proxy/userspace.ts';
import { runner } from '../proxy/writer.ts';
import { servicePort } from '../test/proxy/plans.ts';
import { median, report } from './report.ts';

const services = 5000;
const endpointsEach = 10;
const megabytes = 1024;
const rounds = 15;
const bench = 'proxy';
const options = { clusterCidr: ['10.0.0.0/8'], masqueradeAll: false, nodePortAddresses: [], masqueradeMark: 0x4000 };

if (isMainThread) await main();
else if (workerData) transfer(workerData as Place);
else sink();

async function main(): Promise<void> {
  if (process.getuid?.() === 0) await rules();
  await piping();
}

async function rules(): Promise<void> {
  const name = `km-bench-${process.pid}`;
  execFileSync('ip', ['netns', 'add', name]);
  try {
    const run = runner(['nsenter', `--net=/run/netns/${name}`]);
    const ports = Array.from({ length: services }, (_, i) => port(i, endpointsEach));
    const all = new Map(ports.map((one) => [one.key, one]));
    let writer = nftablesWriter(options, run);
    const full = await median(3, async () => {
      await writer.cleanup();
      writer = nftablesWriter(options, run);
      return elapsed(() => writer.apply(all));
    });
    report({
      bench,
      case: 'nftables, first write of 5,000 Services',
      value: full,
      unit: 'ms',
      goal: 3000,
      lower: true,
    });
    let i = 0;
    const change = await median(15, () => {
      const next = port(++i, endpointsEach - 1);
      return elapsed(() => writer.apply(new Map([[next.key, next]])));
    });
    report({ bench, case: 'nftables, one endpoint of them goes', value: change, unit: 'ms', goal: 50, lower: true });
  } finally {
    execFileSync('ip', ['netns', 'del', name]);
  }
}

function port(i: number, endpoints: number): ServicePort {
  const service = `default/web-${i}`;
  const cluster = Array.from({ length: endpoints }, (_, k) => i * endpointsEach + k).map((n) => ({
    address: `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`,
    port: 8080,
  }));
  return servicePort({ key: `${service}:/TCP`, service, clusterIP: `172.20.${i >> 8}.${i & 255}`, cluster });
}

async function elapsed(work: () => Promise<readonly unknown[]>): Promise<number> {
  const started = performance.now();
  const refused = await work();
  if (refused.length > 0) throw new Error(`${refused.length} ports were refused`);
  return performance.now() - started;
}

async function piping(): Promise<void> {
  const receiver = new Worker(new URL(import.meta.url));
  const [at] = (await once(receiver, 'message')) as [number];
  const door = { host: '127.0.0.1', port: await freePort() };
  const writer = new UserspaceWriter({ nodePortAddresses: [], udpIdle: 60_000 }, silent);
  const cluster = [{ address: '127.0.0.1', port: at }];
  const web = servicePort({ clusterIP: door.host, port: door.port, cluster });
  await writer.apply(new Map([[web.key, web]]));
  for (const way of ['from', 'to'] as const) {
    const { direct, led } = await transfers({ host: '127.0.0.1', port: at, way }, { ...door, way });
    const name = `userspace, a TCP transfer ${way} the client`;
    report({ bench, case: name, value: led.rate, unit: 'MB/s', goal: 0.6 * direct.rate, raw: direct.rate });
    // What the processors have to do for it does not depend on what else they do.
    const used = { value: led.processor, raw: direct.processor, goal: direct.processor / 0.6 };
    report({ bench, case: `${name}, processor time`, unit: 'ms/GB', lower: true, ...used });
  }
  await writer.close();
  await receiver.terminate();
}

interface Place {
  host: string;
  port: number;
  way: 'from' | 'to';
}

interface Transfer {
  /** Megabytes a second. */
  rate: number;
  /** Milliseconds of all threads for a gigabyte. */
  processor: number;
}

/** Medians of several, by turns: what the machine gives changes within seconds. */
async function transfers(straight: Place, through: Place): Promise<{ direct: Transfer; led: Transfer }> {
  const [direct, led]: [Transfer[], Transfer[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    direct.push(await transferOf(straight));
    led.push(await transferOf(through));
  }
  return { direct: middle(direct), led: middle(led) };
}

function middle(all: readonly Transfer[]): Transfer {
  const of = (figure: (one: Transfer) => number) => all.map(figure).sort((a, b) => a - b)[all.length >> 1]!;
  return { rate: of(({ rate }) => rate), processor: of(({ processor }) => processor) };
}

async function transferOf(place: Place): Promise<Transfer> {
  const worker = new Worker(new URL(import.meta.url), { workerData: place });
  const before = process.cpuUsage();
  const [rate] = (await once(worker, 'message')) as [number];
  const { user, system } = process.cpuUsage(before);
  await worker.terminate();
  return { rate, processor: (user + system) / 1000 / (megabytes / 1024) };
}

const chunk = Buffer.alloc(256 * 1024, 'x');

/** Sends everything, then ends. */
function pour(socket: Socket): void {
  let left = (megabytes * 1024 * 1024) / chunk.length;
  const send = () => {
    while (left > 0) {
      left -= 1;
      if (!socket.write(chunk)) return void socket.once('drain', send);
    }
    socket.end();
  };
  send();
}

/** Takes everything and says a word when it has the end; to whom begins with a short word it sends as much. */
function sink(): void {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.once('data', (first: Buffer) => {
      if (first.length < 8) return pour(socket);
      socket.on('end', () => socket.end('all')).resume();
    });
  });
  server.listen(0, '127.0.0.1', () => parentPort!.postMessage((server.address() as AddressInfo).port));
}

function transfer({ way, ...place }: Place): void {
  const started = performance.now();
  const socket = connect(place, () => (way === 'from' ? pour(socket) : socket.write('more')));
  socket.on('end', () => parentPort!.postMessage((megabytes * 1000) / (performance.now() - started))).resume();
}
