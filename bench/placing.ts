/**
 * How many pods a second are placed end to end: created by a client, decided, recorded, launched on the development Mesos
 * whose executors do nothing but answer, and bound. Every server is a process of its own, on etcd. `raw` is a client that
 * creates and binds the same pods itself, with no scheduler and no Mesos.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { resourcePath } from '../api/kind.ts';
import { Pod } from '../api/kinds/pod.ts';
import { Node } from '../api/kinds/node.ts';
import type { Client } from '../client/client.ts';
import { Informer } from '../client/informer.ts';
import { silent } from '../lib/log.ts';
import { type TestCluster, startTestCluster } from '../test/cluster/harness.ts';
import { median, report } from './report.ts';

const pods = Number(process.env.KM_BENCH_PODS ?? 2000);
const inFlight = 32;

/** kube-scheduler 1.23 with its limits raised, on such a machine: bound pods a second. */
const goals = new Map([
  [100, 293],
  [1000, 192],
  [5000, 159],
]);

for (const [agents, goal] of goals) {
  const cluster = await startTestCluster({
    logLevel: 'warn',
    flags: {
      devcluster: ['--simulated', String(agents), '--agents', '[]'],
      'controller-manager': ['--controllers', 'namespace,serviceaccount'],
    },
  });
  try {
    await untilNodes(cluster, agents);
    let round = 0;
    const value = await median(3, () => placed(cluster.client, `p${round++}`));
    const raw = await median(3, () => boundByHand(cluster.client, `r${round++}`));
    report({
      bench: 'placing',
      case: `${pods} pods on ${agents} agents, created to bound`,
      value,
      unit: 'pods/s',
      goal,
      raw,
    });
  } finally {
    await cluster.stop();
  }
}

async function untilNodes({ client }: TestCluster, count: number): Promise<void> {
  for (;;) {
    const { items, metadata } = await client.list(Node, { limit: 1 });
    if (items.length + (metadata.remainingItemCount ?? 0) >= count) return;
    await wait(200);
  }
}

function podNamed(name: string, schedulerName?: string): Pod {
  return {
    metadata: { name, namespace: 'default', labels: { bench: name.split('-')[0]! } },
    spec: {
      containers: [{ name: 'c', image: 'x', resources: { requests: { cpu: '10m', memory: '1Mi' } } }],
      ...(schedulerName ? { schedulerName } : {}),
    },
  };
}

async function placed(client: Client, prefix: string): Promise<number> {
  const stop = new AbortController();
  const informer = new Informer(client, Pod, { labelSelector: `bench=${prefix}` }, silent);
  await informer.start(stop.signal);
  const bound = new Set<string>();
  const done = Promise.withResolvers<void>();
  informer.on(({ object }) => {
    if (object.spec.nodeName) bound.add(object.metadata.uid);
    if (bound.size === pods) done.resolve();
  });
  const started = performance.now();
  await eachOf(pods, (i) => client.create(Pod, podNamed(`${prefix}-${i}`)));
  await done.promise;
  const seconds = (performance.now() - started) / 1000;
  stop.abort();
  await remove(client, prefix);
  return pods / seconds;
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
  await remove(client, prefix);
  return pods / seconds;
}

async function remove(client: Client, prefix: string): Promise<void> {
  await client.raw('DELETE', `${resourcePath(Pod, 'default')}?labelSelector=bench%3D${prefix}`, {
    gracePeriodSeconds: 0,
  });
  while ((await client.list(Pod, { labelSelector: `bench=${prefix}`, limit: 1 })).items.length > 0) await wait(100);
}

/** So many at once, no more. */
async function eachOf(count: number, action: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (next < count) await action(next++);
    }),
  );
}
