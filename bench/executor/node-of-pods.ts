import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, get } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Node } from '../../api/kinds/node.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { selfSigned } from '../../lib/certs.ts';
import { type CriClient, connectCri } from '../../executor/runtimes/cri-client.ts';
import { delay } from '../../lib/delay.ts';
import { type Containerd, startContainerd } from '../../test/executor/containerd.ts';
import { type ExecutorPlace, executorPlace, testNode } from '../../test/executor/executor-for-tests.ts';
import { aPod, eventually } from '../../test/executor/pods-for-tests.ts';
import { processorSeconds, residentMegabytes } from '../process-use.ts';
import { median, report } from '../report.ts';

const bench = 'executor';
const pods = Number(process.env.KM_BENCH_PODS ?? 100);
const idleSeconds = 20;
const logMegabytes = 200;
const never = new AbortController().signal;

/** The executor as agents run it, with a hundred pods that do nothing on containerd. */
export async function nodeOfPods(km: string): Promise<void> {
  const containerd = await startContainerd(20);
  const place = await executorPlace();
  const executor = startExecutor(km, containerd, place);
  try {
    await eventually(() => place.agent.subscriptions.length > 0, 'the executor to subscribe', 30_000);
    const placed: string[] = [];
    for (let i = 0; i < pods; i++) {
      const { pod } = await place.place(
        aPod(
          { command: ['sleep', '10000'] },
          { restartPolicy: 'Never', terminationGracePeriodSeconds: 0 },
          `idle-${i}`,
        ),
      );
      placed.push(pod.metadata.name!);
    }
    await eventually(async () => (await phases(place, 'Running')) === pods, 'every pod to run', 300_000);
    await idle(executor.pid!);
    await changes(containerd, place);
    await logs(place, placed[0]!);
  } finally {
    await removeAll(containerd);
    executor.kill('SIGKILL');
    await place.close();
    await containerd.stop();
  }
}

function startExecutor(km: string, containerd: Containerd, place: ExecutorPlace): ChildProcess {
  const log = openSync(join(place.directory, 'executor.log'), 'a');
  const profile = process.env.KM_BENCH_PROFILE;
  const args = [
    ...['executor', '--runtime', 'cri', '--cri-socket', `unix://${containerd.socket}`],
    ...['--cgroup-parent', containerd.cgroup, '--plugins-registry', ''],
  ];
  const env = {
    ...process.env,
    ...place.agent.env(join(place.directory, 'sandbox')),
    ...(profile ? { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${profile}` } : {}),
  };
  return spawn(km, args, { env, stdio: ['ignore', log, log] });
}

const phases = async ({ client }: ExecutorPlace, phase: string): Promise<number> =>
  (await client.list(Pod, { namespace: 'default' })).items.filter(({ status }) => status?.phase === phase).length;

async function idle(pid: number): Promise<void> {
  await delay(10_000, never); // what it still writes about them
  const [before, began] = [processorSeconds(pid), performance.now()];
  await delay(idleSeconds * 1000, never);
  const share = (100 * (processorSeconds(pid) - before) * 1000) / (performance.now() - began);
  const what = `${pods} idle pods`;
  report({ bench, case: `${what}, processor`, value: share, unit: '% of a core', goal: 2, lower: true });
  report({ bench, case: `${what}, memory`, value: residentMegabytes(pid), unit: 'MB', goal: 150, lower: true });
}

/** Each pod's process is killed: when a watch of the apiserver tells, beside when CRI itself says so, asked again and again. */
async function changes(containerd: Containerd, place: ExecutorPlace): Promise<void> {
  const told = new Map<string, (at: number) => void>();
  const over = new AbortController();
  void (async () => {
    const { metadata } = await place.client.list(Pod, { namespace: 'default' });
    const since = { namespace: 'default', resourceVersion: metadata.resourceVersion };
    for await (const { type, object } of place.client.watch(Pod, since, over.signal))
      if (type === 'MODIFIED' && object.status?.phase === 'Failed') told.get(object.metadata.name)?.(performance.now());
  })().catch(() => undefined);
  const cri = connectCri(`unix://${containerd.socket}`);
  const tasks = tasksOf(containerd);
  const { items } = await place.client.list(Pod, { namespace: 'default' });
  const [km, raw, shares]: [number[], number[], number[]] = [[], [], []];
  for (const { metadata, status } of items) {
    const id = status?.containerStatuses?.[0]?.containerID?.split('://')[1];
    const pid = tasks.get(id ?? '');
    if (pid === undefined) continue;
    const written = new Promise<number>((resolve) => told.set(metadata.name!, resolve));
    const killed = performance.now();
    process.kill(pid, 'SIGKILL');
    raw.push((await exited(cri, id!)) - killed);
    km.push((await written) - killed);
    shares.push(km.at(-1)! - raw.at(-1)!);
    await delay(200, never); // what follows an exit is over
  }
  over.abort();
  cri.close();
  const figures = { bench, unit: 'ms', lower: true as const };
  for (const [name, share] of quantiles) {
    const what = `an exit reaches the apiserver, ${name}`;
    report({ ...figures, case: what, value: quantile(km, share), goal: 100, raw: quantile(raw, share) });
    report({ ...figures, case: `${what}, km’s share`, value: quantile(shares, share), goal: 100 });
  }
}

async function exited(cri: CriClient, container_id: string): Promise<number> {
  for (;;) {
    const { status } = await cri.runtime<{ status: { state: string } }>('ContainerStatus', { container_id });
    if (status.state === 'CONTAINER_EXITED') return performance.now();
    await delay(2, never);
  }
}

const quantiles = [
  ['p50', 0.5],
  ['p99', 0.99],
] as const;
const quantile = (values: number[], share: number): number =>
  values.sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? NaN;

/** Container id → pid. */
function tasksOf({ socket }: Containerd): Map<string, number> {
  const lines = execFileSync('ctr', ['-a', socket, '-n', 'k8s.io', 'tasks', 'ls'], { encoding: 'utf8' }).split('\n');
  return new Map(
    lines.slice(1).flatMap((line) => {
      const [id, pid] = line.split(/\s+/);
      return id && pid ? [[id, Number(pid)] as const] : [];
    }),
  );
}

/** A log that is there, read over TLS; beside it the same file from a server that does nothing else. */
async function logs(place: ExecutorPlace, name: string): Promise<void> {
  const { metadata } = await place.client.get(Pod, { namespace: 'default', name });
  const path = join(place.directory, 'sandbox/../', '');
  const file = execFileSync('find', [path, '-path', `*${metadata.uid}*`, '-name', '0.log'], {
    encoding: 'utf8',
  }).trim();
  const line = `2026-11-21T04:25:40.863296225Z stdout F ${'x'.repeat(120)}\n`;
  writeFileSync(file, line.repeat(Math.ceil((logMegabytes * 1e6) / line.length)));
  const node = await place.client.get(Node, { name: testNode });
  const port = node.status!.daemonEndpoints!.kubeletEndpoint!.Port;
  const [cert, key] = ['admin.crt', 'admin.key'].map((one) => readFileSync(join(place.directory, one)));
  const own = await selfSigned({ commonName: 'raw', hosts: ['127.0.0.1'] });
  const server = createServer(own, (_request, response) => createReadStream(file).pipe(response)).listen(
    0,
    '127.0.0.1',
  );
  await once(server, 'listening');
  const { port: bare } = server.address() as AddressInfo;
  const read = (at: number, url: string) =>
    new Promise<number>((resolve, reject) => {
      const started = performance.now();
      let bytes = 0;
      get({ host: '127.0.0.1', port: at, path: url, cert, key, rejectUnauthorized: false, agent: false }, (answer) => {
        answer.on('data', (chunk: Buffer) => (bytes += chunk.length));
        answer.on('end', () => resolve(bytes / 1e3 / (performance.now() - started)));
      }).on('error', reject);
    });
  const raw = await median(5, () => read(bare, '/'));
  const value = await median(5, () => read(port, `/containerLogs/default/${name}/c`));
  server.close();
  report({ bench, case: `a log of ${logMegabytes} MB, read over TLS`, value, unit: 'MB/s', goal: 50, raw });
}

async function removeAll({ socket }: Containerd): Promise<void> {
  const cri = connectCri(`unix://${socket}`);
  const { items } = await cri.runtime<{ items: { id: string }[] }>('ListPodSandbox', {});
  for (const { id } of items) {
    await cri.runtime('StopPodSandbox', { pod_sandbox_id: id }).catch(() => undefined);
    await cri.runtime('RemovePodSandbox', { pod_sandbox_id: id }).catch(() => undefined);
  }
  cri.close();
}
