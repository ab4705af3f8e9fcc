/**
 * The apiserver next to raw etcd, on one machine, in one run. Every case prints one JSON line:
 * {"bench","case","value","unit","goal","lower"?,"raw"?,"ratio"?}; `raw` is etcd alone through our own client.
 *
 *   node bench/apiserver.ts          (needs etcd in PATH; the load comes from this process, the server is a child)
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { openEtcd } from '../apiserver/etcd.ts';
import { silent } from '../lib/log.ts';
import { startEtcd } from '../test/apiserver/etcd-process.ts';
import { adminToken, startServer } from '../test/apiserver/harness.ts';

const seconds = Number(process.env['KM_BENCH_SECONDS'] ?? 3);
const runs = Number(process.env['KM_BENCH_RUNS'] ?? 3);

interface Result {
  case: string;
  value: number;
  unit: string;
  goal: number;
  lower?: true;
  raw?: number;
}

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
  const child = fork(import.meta.filename, ['serve', etcd.url]);
  try {
    const [port] = (await once(child, 'message')) as [number];
    const raw = await rawPuts(etcd.url);
    const body = (name: string) => JSON.stringify({ metadata: { name }, data: { k: 'x'.repeat(1500) } });
    let count = 0;
    const create = await median(() =>
      load(port, 64, () => ['POST', '/api/v1/namespaces/default/configmaps', body(`c${count++}`)]),
    );
    print({ case: 'create ConfigMap 1.5 KiB, 64 in flight', value: create, unit: '/s', goal: 2353, raw });
    const one = '/api/v1/namespaces/default/configmaps/c0';
    const get = await median(() => load(port, 64, () => ['GET', one]));
    print({ case: 'get most recent, 64 in flight', value: get, unit: '/s', goal: 4346 });
    const cached = await median(() => load(port, 64, () => ['GET', `${one}?resourceVersion=0`]));
    print({ case: 'get resourceVersion=0, 64 in flight', value: cached, unit: '/s', goal: 6838 });
    await fill(port, 10_000);
    const list = await median(
      async () => 1000 / (await load(port, 1, () => ['GET', '/api/v1/namespaces/default/pods'])),
    );
    print({ case: 'list 10,000 pods', value: list, unit: 'ms', goal: 344, lower: true });
    print({
      case: 'watch fan-out, 100 watchers, 1,000 creations',
      value: await fanOut(port),
      unit: 'events/s',
      goal: 35_000,
    });
  } finally {
    child.disconnect();
    await once(child, 'exit');
    await etcd.stop();
  }
}

function print({ raw, value, ...rest }: Result): void {
  const ratio = raw === undefined ? {} : { raw: Math.round(raw), ratio: Number((value / raw).toFixed(3)) };
  process.stdout.write(`${JSON.stringify({ bench: 'apiserver', ...rest, value: Math.round(value), ...ratio })}\n`);
}

async function median(measure: () => Promise<number>): Promise<number> {
  const values: number[] = [];
  for (let i = 0; i < runs; i++) values.push(await measure());
  return values.sort((a, b) => a - b)[runs >> 1]!;
}

async function rawPuts(url: string): Promise<number> {
  const store = openEtcd({
    endpoints: [url],
    ca: undefined,
    cert: undefined,
    key: undefined,
    user: '',
    password: '',
    log: silent,
  });
  const value = Buffer.alloc(1500, 'x');
  let count = 0;
  const rate = await median(async () => {
    const started = performance.now();
    const before = count;
    const work = async () => {
      while (performance.now() - started < seconds * 1000) await store.put(`/raw/${count++}`, value, 0);
    };
    await Promise.all(Array.from({ length: 64 }, work));
    return ((count - before) * 1000) / (performance.now() - started);
  });
  await store.close();
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
async function load(port: number, connections: number, next: () => Request): Promise<number> {
  const all = await Promise.all(Array.from({ length: connections }, () => open(port)));
  let count = 0;
  const started = performance.now();
  await Promise.all(
    all.map(async ({ ask }) => {
      while (performance.now() - started < seconds * 1000) {
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
  const watchers = 100;
  const total = 1000;
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
        if (events >= watchers * total * 0.99) finish();
      });
      return socket;
    }),
  );
  const started = performance.now();
  await fill(port, total, `f${Date.now()}-`);
  await finished;
  const rate = (events * 1000) / (performance.now() - started);
  for (const socket of sockets) socket.destroy();
  return rate;
}
