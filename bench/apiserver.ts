/**
 * The apiserver next to raw etcd, on one machine, in one run. `raw` is etcd alone, asked for the same through our own
 * client, which has neither TLS nor JSON to do. Goals are multiples of what kube-apiserver 1.23 does on such a machine.
 *
 *   node bench/apiserver.ts          (needs etcd in PATH; the load comes from this process, the server is a child)
 *   KM_BENCH_PROCESSES=2             (of the server; one unless told)
 *   KM_BENCH_CASES=create            (only the cases whose names match)
 *   KM_BENCH_PROFILE=<directory>     (leaves a CPU profile of the server there)
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { openEtcd } from '../apiserver/etcd.ts';
import type { Store } from '../apiserver/store.ts';
import { instanceOfAll, isShare, metricsOfAll, share } from '../cli/processes.ts';
import { freePort } from '../cli/ports.ts';
import { aborted, delay } from '../lib/delay.ts';
import { silent } from '../lib/log.ts';
import { startEtcd } from '../test/apiserver/etcd-process.ts';
import { startServer } from '../test/apiserver/harness.ts';
import { bytesOf, dial, load, open, rateOf, type Request } from './load.ts';
import { processorSeconds, residentMegabytes } from './process-use.ts';
import { median, report, type Figure } from './report.ts';

const seconds = Number(process.env['KM_BENCH_SECONDS'] ?? 3);
const runs = Number(process.env['KM_BENCH_RUNS'] ?? 5);
const wanted = new RegExp(process.env['KM_BENCH_CASES'] ?? '');
const profile = process.env['KM_BENCH_PROFILE'];
/** How many processes serve behind the port. */
const processes = Number(process.env['KM_BENCH_PROCESSES'] ?? 1);
const inFlight = 64;
const watchers = 100;
const creations = 1000;
const table = 'application/json;as=Table;v=v1;g=meta.k8s.io';
const plain = { ca: undefined, cert: undefined, key: undefined, user: '', password: '', log: silent };

const configMaps = '/api/v1/namespaces/default/configmaps';
const pods = '/api/v1/namespaces/default/pods';

/** What a case has to work with. */
interface Bench {
  port: number;
  pid: number;
  store: Store;
}

/** Cases in the order in which they run: what one leaves in the store, the next ones find. */
const cases: Record<string, (bench: Bench) => Promise<void>> = {
  'memory fresh': async ({ pid }) => show('memory, fresh', 'MB', 120, residentMegabytes(pid)),
  'create ConfigMap': async (bench) => {
    const raw = await rawPuts(bench.store, 1500);
    await writes(bench, 'create ConfigMap 1.5 KiB', 4000, raw, () => ['POST', configMaps, configMap(`c${count++}`)]);
  },
  'create Pod': async (bench) => {
    const raw = await rawPuts(bench.store, 3000);
    await writes(bench, 'create Pod', 2500, raw, () => ['POST', pods, smallPod(`c${count++}`)]);
    await load(bench.port, 1, () => ['DELETE', `${pods}?gracePeriodSeconds=0`], { limit: 1 });
  },
  'update ConfigMap': update,
  get,
  list,
  'watch fan-out': fanOut,
  'idle watches': idleWatches,
  'idle with leases': leases,
  'memory after': async ({ pid }) => show('memory, after the whole run', 'MB', 300, residentMegabytes(pid)),
};

/** The child: a server that says on which port it listens. */
async function serve(etcdUrl: string, port: number): Promise<void> {
  const ready = () => void process.send!('ready');
  const stopping = new AbortController();
  process.once('disconnect', () => stopping.abort());
  if (processes > 1 && !isShare()) return share(processes, { log: silent, signal: stopping.signal, ready });
  const server = await startServer(
    { etcdServers: [etcdUrl], port },
    isShare() ? { sharing: { gatherMetrics: metricsOfAll, instance: instanceOfAll() } } : {},
  );
  ready();
  await aborted(stopping.signal);
  await server.stop();
}

async function main(): Promise<void> {
  const etcd = await startEtcd();
  const port = await freePort();
  // Whatever ends this process, etcd does not outlive it.
  process.once('exit', () => {
    const pid = etcd.pid();
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  const child = fork(import.meta.filename, ['serve', etcd.url, String(port)], {
    execArgv: profile ? ['--cpu-prof', `--cpu-prof-dir=${profile}`] : [],
  });
  const store = openEtcd({ ...plain, endpoints: [etcd.url] });
  try {
    await once(child, 'message');
    for (const [name, run] of Object.entries(cases)) if (wanted.test(name)) await run({ port, pid: child.pid!, store });
  } finally {
    await store.close();
    child.disconnect();
    await once(child, 'exit');
    await etcd.stop();
  }
}

function show(name: string, unit: string, goal: number, value: number, raw?: number): void {
  const lower: Partial<Figure> = unit.endsWith('/s') ? {} : { lower: true };
  report({ bench: 'apiserver', case: name, value, unit, goal, ...(raw === undefined ? {} : { raw }), ...lower });
}

let count = 0;
const configMap = (name: string) => JSON.stringify({ metadata: { name }, data: { k: 'x'.repeat(1500) } });

function podOf(name: string, size: number): string {
  return JSON.stringify({
    metadata: { name, labels: { app: 'web' } },
    spec: { containers: [{ name: 'a', image: 'nginx:1', env: [{ name: 'A', value: 'b'.repeat(size) }] }] },
  });
}
const smallPod = (name: string) => podOf(name, 200);

const rawPuts = (store: Store, size: number) =>
  median(runs, () => rateOf(inFlight, seconds, () => store.put(`/raw/${count++}`, Buffer.alloc(size, 'x'), 0)));

/** How many such writes a second, each with a number of its own, and what one costs the server. */
async function writes({ port, pid }: Bench, name: string, goal: number, raw: number, next: () => Request) {
  const [used, first] = [processorSeconds(pid), count];
  const value = await median(runs, () => load(port, inFlight, next, { seconds }));
  show(`${name}, ${inFlight} in flight`, '/s', goal, value, raw);
  const each = ((processorSeconds(pid) - used) * 1e6) / (count - first);
  report({ bench: 'apiserver', case: `${name}, processor time of the server`, value: each, unit: 'µs', lower: true });
}

async function update(bench: Bench): Promise<void> {
  const { port, store } = bench;
  for (let i = 0; i < inFlight; i++) await askOnce(port, ['POST', configMaps, configMap(`u${i}`)]);
  const next = (): Request => ['PUT', `${configMaps}/u${count++ % inFlight}`, changed()];
  const changed = () =>
    JSON.stringify({
      metadata: { name: `u${(count - 1) % inFlight}` },
      data: { k: 'y'.repeat(1500), count: `${count}` },
    });
  const raw = await rawPuts(store, 1500);
  await writes(bench, 'update ConfigMap', 4000, raw, next);
}

async function get({ port, store }: Bench): Promise<void> {
  const one = `${pods}/one`;
  await askOnce(port, ['POST', pods, podOf('one', 2200)]);
  const raw = await median(runs, () => rateOf(inFlight, seconds, () => store.get('/registry/core/pods/default/one')));
  const recent = await median(runs, () => load(port, inFlight, () => ['GET', one], { seconds }));
  show(`get one Pod, most recent, ${inFlight} in flight`, '/s', 8700, recent, raw);
  const cached = await median(runs, () => load(port, inFlight, () => ['GET', `${one}?resourceVersion=0`], { seconds }));
  show(`get one Pod, resourceVersion=0, ${inFlight} in flight`, '/s', 12_000, cached, raw);
}

async function list({ port, store }: Bench): Promise<void> {
  await fill(port, 1000);
  const took = (request: Request) => median(runs, async () => 1000 / (await load(port, 1, () => request, { seconds })));
  const thousand = await took(['GET', `${pods}?resourceVersion=0`]);
  await fill(port, 9000);
  const raw = await median(
    runs,
    async () => 1000 / (await rateOf(1, seconds, () => store.list('/registry/core/pods/'))),
  );
  const ten = await took(['GET', `${pods}?resourceVersion=0`]);
  show('list 10,000 pods from cache', 'ms', 100, ten, raw);
  show('list 10,000 pods, most recent', 'ms', 100, await took(['GET', pods]), raw);
  const { ask, socket } = await open(port);
  const firstByte = await median(runs, () => ask(['GET', `${pods}?resourceVersion=0`]));
  socket.destroy();
  show('list 10,000 pods from cache, first byte', 'ms', 20, firstByte);
  show('list of 10,000 over list of 1,000', 'times', 12, ten / thousand);
  show('list 10,000 pods as Table', 'ms', 150, await took(['GET', `${pods}?resourceVersion=0`, undefined, table]), raw);
}

async function askOnce(port: number, request: Request): Promise<void> {
  await load(port, 1, () => request, { limit: 1 });
}

async function fill(port: number, total: number): Promise<void> {
  await load(port, 16, () => ['POST', pods, podOf(`p${count++}`, 2200)], { seconds: 600, limit: total });
}

/** As many watches of all pods; each resolves with its socket when the watch is open. */
function openWatches(port: number, total: number, onData: (chunk: Buffer) => void): Promise<{ destroy: () => void }[]> {
  const path =
    '/api/v1/pods?watch=1&resourceVersion=0&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&timeoutSeconds=600';
  return Promise.all(
    Array.from({ length: total }, async () => {
      const socket = await dial(port);
      socket.write(bytesOf(['GET', path]));
      // The head of the answer: the watch is open.
      await once(socket, 'data');
      socket.on('data', onData);
      return socket;
    }),
  );
}

async function fanOut({ port, store }: Bench): Promise<void> {
  const raw = await median(runs, () => rawWatchers(store));
  const late: number[] = [];
  const value = await median(runs, () => oneFanOut(port, late));
  late.sort((a, b) => a - b);
  show(`watch fan-out, ${watchers} watchers, ${creations} creations`, 'events/s', 100_000, value, raw);
  show('watch fan-out, p99 after the answer to the write', 'ms', 250, late[Math.floor(late.length * 0.99)]!);
}

/** Events a second at all watchers; `late` gets how long after the answer to its write each event came, in ms. */
async function oneFanOut(port: number, late: number[]): Promise<number> {
  let events = 0;
  const finished = Promise.withResolvers<void>();
  const mark = Buffer.from('"type":"ADDED"');
  const name = Buffer.from('"name":"f-');
  const answered = new Map<string, number>();
  const run = `${count++}`;
  const sockets = await openWatches(port, watchers, (chunk) => {
    const now = performance.now();
    for (let at = chunk.indexOf(mark); at >= 0; at = chunk.indexOf(mark, at + 1)) {
      events += 1;
      const from = chunk.indexOf(name, at);
      if (from < 0) continue;
      const written = answered.get(chunk.toString('latin1', from + 8, chunk.indexOf('"', from + 8)));
      late.push(written === undefined ? 0 : now - written);
    }
    if (events >= watchers * creations * 0.99) finished.resolve();
  });
  const started = performance.now();
  const callers = await Promise.all(Array.from({ length: 16 }, () => open(port)));
  let next = 0;
  await rateOf(
    16,
    600,
    async (caller) => {
      const pod = `f-${run}-${next++}`;
      await callers[caller]!.ask(['POST', pods, podOf(pod, 2200)]);
      answered.set(pod, performance.now());
    },
    creations,
  );
  await finished.promise;
  const rate = (events * 1000) / (performance.now() - started);
  for (const { socket } of callers) socket.destroy();
  for (const socket of sockets) socket.destroy();
  return rate;
}

/** Events a second that as many watches of etcd itself, over one connection, bring. */
async function rawWatchers(store: Store): Promise<number> {
  const stop = new AbortController();
  const prefix = `/raw-watch/${count++}/`;
  const { revision } = await store.get(prefix);
  let events = 0;
  const finished = Promise.withResolvers<void>();
  const watching = Array.from({ length: watchers }, async () => {
    for await (const batch of store.watch(prefix, revision, stop.signal)) {
      events += batch.events.length;
      if (events >= watchers * creations) finished.resolve();
    }
  });
  const value = Buffer.alloc(2500, 'x');
  const started = performance.now();
  await rateOf(16, 600, () => store.put(`${prefix}${count++}`, value, 0), creations);
  await finished.promise;
  const rate = (events * 1000) / (performance.now() - started);
  stop.abort();
  await Promise.all(watching);
  return rate;
}

async function idleWatches({ port, pid }: Bench): Promise<void> {
  const before = residentMegabytes(pid);
  const sockets = await openWatches(port, 1000, () => undefined);
  await delay(2000, new AbortController().signal);
  show('1,000 idle watches', 'MB', 30, residentMegabytes(pid) - before);
  for (const socket of sockets) socket.destroy();
}

/** The processor time that 100 nodes cost which renew their leases each 10 s. */
async function leases({ port, pid }: Bench): Promise<void> {
  const path = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
  const lease = (name: string) =>
    JSON.stringify({
      metadata: { name },
      spec: { holderIdentity: name, renewTime: new Date().toISOString().replace('Z', '000Z') },
    });
  const nodes = await Promise.all(Array.from({ length: 100 }, () => open(port)));
  await Promise.all(nodes.map(({ ask }, i) => ask(['POST', path, lease(`n${i}`)])));
  const [before, began] = [processorSeconds(pid), performance.now()];
  for (let round = 0; round < 2; round++)
    for (const [i, { ask }] of nodes.entries()) {
      await ask(['PATCH', `${path}/n${i}`, lease(`n${i}`)]);
      await delay(100, new AbortController().signal);
    }
  const share = (100 * (processorSeconds(pid) - before) * 1000) / (performance.now() - began);
  show('idle with 100 nodes renewing leases', '% of a core', 3, share);
  for (const { socket } of nodes) socket.destroy();
}

if (process.argv[2] === 'serve') await serve(process.argv[3]!, Number(process.argv[4]));
else await main();
