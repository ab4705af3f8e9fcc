/**
 * What a neighbour on the same Mesos pays for km: milliseconds from its wish, when it has nothing and asks for offers, to its task's
 * TASK_RUNNING, while km is idle, places pods, or has pods that fit nowhere. `raw` is the same Mesos without km's scheduler.
 */
import { Pod } from '../api/kinds/pod.ts';
import { delay } from '../lib/delay.ts';
import type { TestCluster } from '../test/cluster/harness.ts';
import { Framework, some, task, until } from '../test/devcluster/builders.ts';
import { podNamed, removePods, startSimulated } from './pods.ts';
import { median, report } from './report.ts';

const agents = 20;
const launches = 41;

const cluster = await startSimulated(agents);
try {
  const neighbour = await Framework.open(cluster.masterUrl, { name: 'neighbour' });
  let serial = 0;
  const launched = () => median(launches, () => launch(neighbour, `t${serial++}`));
  const found = new Map([
    ['km is idle', await launched()],
    ['km places pods', await whilePodsCome(cluster, launched)],
    ['km has pods that fit nowhere', await whilePodsWait(cluster, launched)],
  ]);
  await cluster.servers.get('scheduler')?.stop();
  const raw = await launched();
  for (const [state, value] of found)
    report({
      bench: 'neighbour',
      case: `a neighbour's wish to its task, while ${state}`,
      value,
      unit: 'ms',
      goal: Math.round(raw * 1.2),
      lower: true,
      raw,
    });
} finally {
  await cluster.stop();
}
process.exit();

/** As a framework that shares: what it does not use goes back at once, and it asks for nothing while it has no wish. */
async function launch(neighbour: Framework, id: string): Promise<number> {
  const began = performance.now();
  await neighbour.call({ type: 'REVIVE' });
  const offer = await neighbour.offer();
  await neighbour.launch(offer, task(id, offer, { command: { value: 'sleep 100' }, resources: some }));
  const isTold = (state: string) => () =>
    neighbour.statuses.some((status) => status.task_id.value === id && status.state === state);
  await until(`${id} to run`, isTold('TASK_RUNNING'));
  const took = performance.now() - began;
  await neighbour.call({ type: 'SUPPRESS' });
  const offer_ids = neighbour.offers.splice(0).map((one) => one.id);
  if (offer_ids.length > 0) await neighbour.call({ type: 'DECLINE', decline: { offer_ids } });
  await neighbour.call({ type: 'KILL', kill: { task_id: { value: id } } });
  await until(`the end of ${id}`, isTold('TASK_KILLED'));
  return took;
}

async function whilePodsCome({ client }: TestCluster, measure: () => Promise<number>): Promise<number> {
  const over = new AbortController();
  const coming = (async () => {
    for (let i = 0; !over.signal.aborted; i += 1) {
      await client.create(Pod, podNamed(`come-${i}`));
      if (i % 100 === 99) await removePods(client, 'come');
      await delay(20);
    }
  })();
  const value = await measure();
  over.abort();
  await coming;
  await removePods(client, 'come');
  return value;
}

async function whilePodsWait({ client }: TestCluster, measure: () => Promise<number>): Promise<number> {
  for (let i = 0; i < 10; i += 1) {
    const pod = podNamed(`huge-${i}`);
    const [container] = pod.spec.containers;
    if (container) container.resources = { requests: { cpu: '1000' } };
    await client.create(Pod, pod);
  }
  const value = await measure();
  await removePods(client, 'huge');
  return value;
}
