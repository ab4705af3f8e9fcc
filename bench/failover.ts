/**
 * How soon a scheduler that takes over places a pod: 10,000 tasks run on 1,000 simulated agents when the one before is killed,
 * and a pod is created at once. Counted from the new one's subscription to the pod's binding.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Pod } from '../api/kinds/pod.ts';
import type { TestCluster } from '../test/cluster/harness.ts';
import { eachOf, podNamed, untilBound, startSimulated } from './pods.ts';
import { median, report } from './report.ts';

const tasks = Number(process.env.KM_BENCH_TASKS ?? 10_000);
const agents = Math.max(10, tasks / 10);

const cluster = await startSimulated(agents, 'info');
try {
  await untilBound(cluster.client, 'full', tasks, () =>
    eachOf(tasks, (i) => cluster.client.create(Pod, podNamed(`full-${i}`))),
  );
  let round = 0;
  const value = await median(3, () => takenOver(cluster, `first${round++}`));
  const name = `${tasks} tasks on ${agents} agents, subscribed anew to first pod bound`;
  report({ bench: 'failover', case: name, value, unit: 'ms', goal: 5_000, lower: true });
} finally {
  await cluster.stop();
}

async function takenOver({ client, servers, dir }: TestCluster, label: string): Promise<number> {
  const subscriptions = () =>
    readFileSync(join(dir, 'logs', 'scheduler.log'), 'utf8')
      .split('\n')
      .filter((line) => line.includes('subscribed to the Mesos master'));
  const before = subscriptions().length;
  process.kill(servers.get('scheduler')!.pid!, 'SIGKILL');
  await untilBound(client, label, 1, () => client.create(Pod, podNamed(`${label}-0`)));
  const bound = Date.now();
  const { time } = JSON.parse(subscriptions()[before]!) as { time: number };
  return bound - time;
}
