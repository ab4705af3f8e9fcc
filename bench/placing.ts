/**
 * How many pods a second are placed end to end: created by a client, decided, recorded, launched on the development Mesos
 * whose executors do nothing but answer, bound, and seen to run by the master. Every server is a process of its own, on etcd. `raw` is a client that
 * creates and binds the same pods itself, with no scheduler and no Mesos. And how long a pod waits to be bound where so many come each second.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { resourcePath } from '../api/kind.ts';
import { Pod } from '../api/kinds/pod.ts';
import { Node } from '../api/kinds/node.ts';
import type { Client } from '../client/client.ts';
import { Informer } from '../client/informer.ts';
import { silent } from '../lib/log.ts';
import { askMaster } from '../mesos/operator.ts';
import type { TestCluster } from '../test/cluster/harness.ts';
import { eachOf, podNamed, removePods, untilBound, startSimulated } from './pods.ts';
import { processorSeconds } from './process-use.ts';
import { middle, report } from './report.ts';

const pods = Number(process.env.KM_BENCH_PODS ?? 2000);

/** Pods a second; kube-scheduler 1.23 on such a machine, with its limits raised, bound 281, 186, 160 to 199. */
const goals = new Map([
  [100, { bound: 400, running: 300 }],
  [1000, { bound: 400, running: 300 }],
  [5000, { bound: 300, running: 300 }],
]);
const rounds = 3;

for (const [agents, goal] of goals) {
  const cluster = await startSimulated(agents);
  try {
    // The first ones are for code that has not run before.
    for (let i = 0; i < 2; i++) await placed(cluster, `w${i}`);
    const before = processorSeconds(process.pid);
    const rates: Placed[] = [];
    for (let i = 0; i < rounds; i++) rates.push(await placed(cluster, `p${i}`));
    const used = ((processorSeconds(process.pid) - before) * 1000) / (rounds * pods);
    const byHand: number[] = [];
    for (let i = 0; i < rounds; i++) byHand.push(await boundByHand(cluster.client, `r${i}`));
    for (const state of ['bound', 'running'] as const)
      report({
        bench: 'placing',
        case: `${pods} pods on ${agents} agents, created to ${state}`,
        value: middle(rates.map((rate) => rate[state])),
        unit: 'pods/s',
        goal: goal[state],
        raw: middle(byHand),
      });
    // Created, bound, run, and removed again.
    report({
      bench: 'placing',
      case: `a pod of these, processor time of all servers and of the client`,
      value: used,
      unit: 'ms',
    });
    if (agents === 100) await steadily(cluster.client);
  } finally {
    await cluster.stop();
  }
}

/** Pods a second. */
interface Placed {
  bound: number;
  running: number;
}

async function placed({ client, masterUrl }: TestCluster, prefix: string): Promise<Placed> {
  // Tasks of pods that were removed a moment ago.
  await untilRunning(masterUrl, 0);
  const started = performance.now();
  const rate = () => pods / ((performance.now() - started) / 1000);
  await untilBound(client, prefix, pods, () => eachOf(pods, (i) => client.create(Pod, podNamed(`${prefix}-${i}`))));
  const bound = rate();
  // Asked only now: a task says that it runs when what it said first is acknowledged, which is when its pod is bound.
  await untilRunning(masterUrl, pods);
  const rates = { bound, running: rate() };
  await removePods(client, prefix);
  return rates;
}

/** So many tasks are TASK_RUNNING by the metrics of the master, which is asked often. */
async function untilRunning(url: string, count: number): Promise<void> {
  for (;;) {
    const { get_metrics } = await askMaster({ url }, { type: 'GET_METRICS' });
    if (get_metrics.metrics?.find(({ name }) => name === 'master/tasks_running')?.value === count) return;
    await wait(20);
  }
}

/** A hundred pods a second, one after the other as the clock says, however long those before take. */
async function steadily(client: Client): Promise<void> {
  const [each, count] = [10, 3_000];
  // What the pods before have left to do is not what is measured.
  await wait(5_000);
  const stop = new AbortController();
  const informer = new Informer(client, Pod, { labelSelector: 'bench=steady' }, silent);
  await informer.start(stop.signal);
  const asked = new Map<string, number>();
  const waits: number[] = [];
  const done = Promise.withResolvers<void>();
  const isBound = new Set<string>();
  informer.on(({ object: { metadata, spec } }) => {
    if (!spec.nodeName || isBound.has(metadata.name)) return;
    isBound.add(metadata.name);
    waits.push(performance.now() - asked.get(metadata.name)!);
    if (waits.length === count) done.resolve();
  });
  const began = performance.now();
  const creations: Promise<unknown>[] = [];
  for (let i = 0; i < count; i++) {
    await wait(Math.max(0, began + i * each - performance.now()));
    const pod = podNamed(`steady-${i}`);
    asked.set(pod.metadata.name!, performance.now());
    creations.push(client.create(Pod, pod));
  }
  await Promise.all(creations);
  await done.promise;
  stop.abort();
  const value = waits.sort((a, b) => a - b)[Math.floor(count * 0.99)]!;
  const rate = 1000 / each;
  report({
    bench: 'placing',
    case: `${rate} pods/s, created to bound, p99`,
    value,
    unit: 'ms',
    goal: 250,
    lower: true,
  });
  await removePods(client, 'steady');
}

async function boundByHand(client: Client, prefix: string): Promise<number> {
  const { items } = await client.list(Node, { limit: 1 });
  const started = performance.now();
  await eachOf(pods, async (i) => {
    const name = `${prefix}-${i}`;
    await client.create(Pod, podNamed(name, 'nobody'));
    const target = { apiVersion: 'v1', kind: 'Node', name: items[0]!.metadata.name };
    await client.raw('POST', resourcePath(Pod, 'default', name, 'binding'), { metadata: { name }, target });
  });
  const seconds = (performance.now() - started) / 1000;
  await removePods(client, prefix);
  return pods / seconds;
}
