/**
 * The apiserver next to raw etcd, on one machine, in one run. `raw` is etcd alone, asked for the same through our own
 * client, which has neither TLS nor JSON to do.
 *
 *   node bench/apiserver.ts          (needs etcd in PATH; the load comes from this process, the server is a child)
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { openEtcd } from '../apiserver/etcd.ts';
import type { Store } from '../apiserver/store.ts';
import { silent } from '../lib/log.ts';
import { startEtcd } from '../test/apiserver/etcd-process.ts';
import { adminToken, startServer } from '../test/apiserver/harness.ts';
import { median, report } from './report.ts';

const seconds = Number(process.env['KM_BENCH_SECONDS'] ?? 3);
const runs = Number(process.env['KM_BENCH_RUNS'] ?? 3);
/** A directory for a CPU profile of the server. */
const profile = process.env['KM_BENCH_PROFILE'];
const inFlight = 64;
const watchers = 100;
const creations = 1000;
const plain = { ca: undefined, cert: undefined, key: undefined, user: '', password: '', log: silent };

if (process.argv[2] === 'serve') await serve(process.argv[3]!);
else await main();

/** The child: a server that says on which port it listens. */
async function serve(etcdUrl: string): Promise<void> {
  const server = await startServer({ etcdServers: [etcdUrl] });
  process.send!(server.port);
  process.once('disconnect', () => void server.stop());
}

async function main(): Promise<void> {
  const etcd = await startEtcd();
  // Whatever ends this process, etcd does not outlive it.
  process.once('exit', () => {
    const pid = etcd.pid();
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  const child = fork(import.meta.filename, ['serve', etcd.url], {
    execArgv: profile ? ['--cpu-prof', `--cpu-prof-dir=${profile}`] : [],
  });
  const store = openEtcd({ ...plain, endpoints: [etcd.url] });
  try {
    const [port] = (await once(child, 'message')) as [number];
    await measure(port, store);
  } finally {
    await store.close();
    child.disconnect();
    await once(child, 'exit');
    await etcd.stop();
  }
}

async function measure(port: number, store: Store): Promise<void> {
  const body = (name: string) => JSON.stringify({ metadata: { name }, data: { k: 'x'.repeat(1500) } });
  let count = 0;
  const show = (name: string, value: number, unit: string, goal: number, raw: number) =>
    report({ bench: 'apiserver', case: name, value, unit, goal, raw, ...(unit === 'ms' ? { lower: true } : {}) });

  const rawCreate = await median(runs, () => rawLoad(() => store.put(`/raw/${count++}`, Buffer.alloc(1500, 'x'), 0)));
  const create = await median(runs, () =>
    load(port, inFlight, () => ['POST', '/api/v1/namespaces/default/configmaps', body(`c${count++}`)]),
  );
  show(`create ConfigMap 1.5 KiB, ${inFlight} in flight`, create, '/s', 2353, rawCreate);

  const one = '/api/v1/namespaces/default/configmaps/one';
  await load(port, 1, () => ['POST', '/api/v1/namespaces/default/configmaps', body('one')], 1);
  const rawGet = await median(runs, () => rawLoad(() => store.get('/registry/core/configmaps/default/one')));
  const get = await median(runs, () => load(port, inFlight, () => ['GET', one]));
  show(`get most recent, ${inFlight} in flight`, get, '/s', 4346, rawGet);
  const cached = await median(runs, () => load(port, inFlight, () => ['GET', `${one}?resourceVersion=0`]));
  show(`get resourceVersion=0, ${inFlight} in flight`, cached, '/s', 6838, rawGet);

  await fill(port, 10_000);
  const rawList = await median(runs, async () => 1000 / (await rawLoad(() => store.list('/registry/core/pods/'), 1)));
  const list = await median(
    runs,
    async () => 1000 / (await load(port, 1, () => ['GET', '/api/v1/namespaces/default/pods'])),
  );
  show('list 10,000 pods', list, 'ms', 344, rawList);

  const rawFanOut = await rawWatchers(store);
  show(
    `watch fan-out, ${watchers} watchers, ${creations} creations`,
    await fanOut(port),
    'events/s',
    35_000,
    rawFanOut,
  );
}

/** Calls a second, `concurrency` of them in flight. */
async function rawLoad(call: () => Promise<unknown>, concurrency = inFlight): Promise<number> {
  let count = 0;
  const started = performance.now();
  const work = async () => {
    while (performance.now() - started < seconds * 1000) {
      await call();
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, work));
  return (count * 1000) / (performance.now() - started);
}

/** Events a second that as many watches of etcd itself, over one connection, bring. */
async function rawWatchers(store: Store): Promise<number> {
  const stop = new AbortController();
  const { revision } = await store.get('/raw-watch/');
  let events = 0;
  const finished = Promise.withResolvers<void>();
  const watching = Array.from({ length: watchers }, async () => {
    for await (const batch of store.watch('/raw-watch/', revision, stop.signal)) {
      events += batch.events.length;
      if (events >= watchers * creations) finished.resolve();
    }
  });
  const value = Buffer.alloc(2500, 'x');
  let count = 0;
  const started = performance.now();
  const write = async () => {
    while (count < creations) await store.put(`/raw-watch/${count++}`, value, 0);
  };
  await Promise.all(Array.from({ length: 16 }, write));
  await finished.promise;
  const rate = (events * 1000) / (performance.now() - started);
  stop.abort();
  await Promise.all(watching);
  return rate;
}
type Request = [method: string, path: string, body?: string];

function bytesOf([method, path, body]: Request): string {
  const head = `${method} ${path} HTTP/1.1\r\nHost: km\r\nAuthorization: Bearer ${adminToken}\r\n`;
  return body === undefined
    ? `${head}\r\n`
    : `${head}Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** One keep-alive connection; `ask` resolves when the whole answer is in. */
async function open(port: number): Promise<{ ask: (request: Request) => Promise<void>; socket: TLSSocket }> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  let left = 0;
  let head: Buffer = Buffer.alloc(0);
  let done: () => void = () => undefined;
  let failed: (error: Error) => void = () => undefined;
  socket.on('error', (error) => failed(error));
  socket.on('data', (chunk: Buffer) => {
    if (left > 0) left -= chunk.length;
    else {
      head = head.length > 0 ? Buffer.concat([head, chunk]) : chunk;
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      const text = head.toString('latin1', 0, end);
      if (!text.startsWith('HTTP/1.1 20')) return failed(new Error(head.toString()));
      left = Number(/content-length: (\d+)/i.exec(text)![1]) - (head.length - end - 4);
      head = Buffer.alloc(0);
    }
    if (left <= 0) {
      left = 0;
      done();
    }
  });
  return {
    socket,
    ask: (request) =>
      new Promise<void>((resolve, reject) => {
        [done, failed] = [resolve, reject];
        socket.write(bytesOf(request));
      }),
  };
}

/** Answers per second that `connections` callers get, each with one request in flight. */
async function load(port: number, connections: number, next: () => Request, limit = Infinity): Promise<number> {
  const all = await Promise.all(Array.from({ length: connections }, () => open(port)));
  let count = 0;
  const started = performance.now();
  await Promise.all(
    all.map(async ({ ask }) => {
      while (performance.now() - started < seconds * 1000 && count < limit) {
        await ask(next());
        count += 1;
      }
    }),
  );
  const rate = (count * 1000) / (performance.now() - started);
  for (const { socket } of all) socket.destroy();
  return rate;
}

function pod(name: string): string {
  return JSON.stringify({
    metadata: { name, labels: { app: 'web' } },
    spec: { containers: [{ name: 'a', image: 'nginx:1', env: [{ name: 'A', value: 'b'.repeat(2200) }] }] },
  });
}

async function fill(port: number, total: number, prefix = 'p'): Promise<void> {
  let count = 0;
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      const { ask, socket } = await open(port);
      while (count < total) await ask(['POST', '/api/v1/namespaces/default/pods', pod(`${prefix}${count++}`)]);
      socket.destroy();
    }),
  );
}

async function fanOut(port: number): Promise<number> {
  let events = 0;
  let finish: () => void = () => undefined;
  const finished = new Promise<void>((resolve) => (finish = resolve));
  const mark = Buffer.from('"type":"ADDED"');
  const sockets = await Promise.all(
    Array.from({ length: watchers }, async () => {
      const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      socket.write(
        bytesOf([
          'GET',
          '/api/v1/pods?watch=1&resourceVersion=0&sendInitialEvents=false&resourceVersionMatch=NotOlderThan',
        ]),
      );
      // The head of the answer: the watch is open.
      await once(socket, 'data');
      socket.on('data', (chunk: Buffer) => {
        for (let at = chunk.indexOf(mark); at >= 0; at = chunk.indexOf(mark, at + 1)) events += 1;
        if (events >= watchers * creations * 0.99) finish();
      });
      return socket;
    }),
  );
  const started = performance.now();
  await fill(port, creations, `f${Date.now()}-`);
  await finished;
  const rate = (events * 1000) / (performance.now() - started);
  for (const socket of sockets) socket.destroy();
  return rate;
}
