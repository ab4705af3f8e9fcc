/** What benches of whole clusters share: nodes that are waited for, pods that cost little, many requests at once. */
import { setTimeout as wait } from 'node:timers/promises';
import { resourcePath } from '../api/kind.ts';
import { Node } from '../api/kinds/node.ts';
import { Pod } from '../api/kinds/pod.ts';
import type { Client } from '../client/client.ts';
import { Informer } from '../client/informer.ts';
import { silent } from '../lib/log.ts';
import { type TestCluster, startTestCluster } from '../test/cluster/harness.ts';

const inFlight = 32;

/** A cluster of so many agents whose executors do nothing but answer; its nodes are ready for pods. */
export async function startSimulated(agents: number, logLevel = 'warn'): Promise<TestCluster> {
  const cluster = await startTestCluster({
    logLevel,
    flags: {
      devcluster: ['--simulated', String(agents), '--agents', '[]'],
      'controller-manager': ['--controllers', 'namespace,serviceaccount,node-lifecycle'],
    },
  });
  await untilNodes(cluster, agents);
  return cluster;
}

async function untilNodes({ client }: TestCluster, count: number): Promise<void> {
  for (;;) {
    const { items, metadata } = await client.list(Node, { limit: 1 });
    if (items.length + (metadata.remainingItemCount ?? 0) >= count) return;
    await wait(200);
  }
}

export function podNamed(name: string, schedulerName?: string): Pod {
  return {
    metadata: { name, namespace: 'default', labels: { bench: name.split('-')[0]! } },
    spec: {
      containers: [{ name: 'c', image: 'x', resources: { requests: { cpu: '10m', memory: '1Mi' } } }],
      ...(schedulerName ? { schedulerName } : {}),
    },
  };
}

export async function removePods(client: Client, prefix: string): Promise<void> {
  await client.raw('DELETE', `${resourcePath(Pod, 'default')}?labelSelector=bench%3D${prefix}`, {
    gracePeriodSeconds: 0,
  });
  while ((await client.list(Pod, { labelSelector: `bench=${prefix}`, limit: 1 })).items.length > 0) await wait(100);
}

/** So many at once, no more. */
export async function eachOf(count: number, action: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (next < count) await action(next++);
    }),
  );
}

/** Does it, and waits until so many pods of that label are bound. */
export async function untilBound(
  client: Client,
  bench: string,
  count: number,
  act: () => Promise<unknown>,
): Promise<void> {
  const stop = new AbortController();
  const informer = new Informer(client, Pod, { labelSelector: `bench=${bench}` }, silent);
  await informer.start(stop.signal);
  const bound = new Set<string>();
  const done = Promise.withResolvers<void>();
  informer.on(({ object }) => {
    if (object.spec.nodeName) bound.add(object.metadata.uid);
    if (bound.size === count) done.resolve();
  });
  await act();
  await done.promise;
  stop.abort();
}
