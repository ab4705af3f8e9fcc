/**
 * Controllers: how long a Deployment of 1,000 replicas takes until its pods are in, how long a namespace of 1,000 pods without
 * nodes takes to go, and what 5,000 Deployments cost that want nothing.
 *
 *   node bench/controllers.ts
 */
import { Deployment } from '../api/kinds/deployment.ts';
import { Namespace } from '../api/kinds/namespace.ts';
import { Pod } from '../api/kinds/pod.ts';
import { isNotFound } from '../api/status.ts';
import { Informers } from '../client/informer.ts';
import { delay } from '../lib/delay.ts';
import { silent } from '../lib/log.ts';
import { deployment, startControllers } from '../test/controllers/harness.ts';
import { median, report } from './report.ts';

const bench = 'controllers';
const pods = 1000;
const resting = 5000;
const restMs = 20_000;

await many();
await rest();

/** A Deployment comes up, then its namespace goes. */
async function many(): Promise<void> {
  const w = await startControllers();
  const informers = new Informers(w.client, silent);
  const seen = informers.of(Pod);
  await informers.start(w.signal);
  const gone: number[] = [];
  let round = 0;
  const up = await median(3, async () => {
    const namespace = `many-${++round}`;
    await w.client.create(Namespace, { metadata: { name: namespace } });
    const one = deployment('web', pods);
    const started = performance.now();
    await w.client.create(Deployment, { ...one, metadata: { ...one.metadata, namespace } });
    await until(() => seen.size === pods);
    const took = performance.now() - started;
    await settled(() => w.client.get(Deployment, { namespace, name: 'web' }), pods);
    gone.push(await deletionOf(namespace));
    await until(() => seen.size === 0);
    return took;
  });
  report({ bench, case: 'a Deployment of 1,000 has its pods in', value: up, unit: 'ms', goal: 1200, lower: true });
  const down = gone.sort((a, b) => a - b)[1]!;
  report({ bench, case: 'a namespace of 1,000 pods goes', value: down, unit: 'ms', goal: 4000, lower: true });
  await w.stop();

  async function deletionOf(name: string): Promise<number> {
    const started = performance.now();
    await w.client.delete(Namespace, { name });
    while (!(await w.client.get(Namespace, { name }).then(() => false, isNotFound))) await delay(20);
    return performance.now() - started;
  }
}

/** Everything runs in this process, so writes are told by the newest version, and the processor by ours. */
async function rest(): Promise<void> {
  const w = await startControllers();
  for (let at = 0; at < resting; at += 50)
    await Promise.all(
      Array.from({ length: 50 }, (_, i) => w.client.create(Deployment, deployment(`web-${at + i}`, 0))),
    );
  await settled(() => w.client.get(Deployment, { namespace: 'default', name: `web-${resting - 1}` }), 0);
  await quiet();
  const before = await version();
  const used = process.cpuUsage();
  await delay(restMs);
  const { user, system } = process.cpuUsage(used);
  const writes = (await version()) - before;
  report({ bench, case: '5,000 Deployments at rest, writes', value: writes, unit: 'writes', goal: 0, lower: true });
  const part = ((user + system) / 1000 / restMs) * 100;
  report({
    bench,
    case: '5,000 Deployments at rest, processor',
    value: part,
    unit: '% of a core',
    goal: 3,
    lower: true,
  });
  await w.stop();

  async function version(): Promise<number> {
    return Number((await w.client.list(Deployment, { limit: 1 })).metadata.resourceVersion);
  }

  async function quiet(): Promise<void> {
    for (let last = -1, now = await version(); now !== last; now = await version()) {
      last = now;
      await delay(3000);
    }
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(5);
}

/** Its status has been written: nothing of it is under way. */
async function settled(get: () => Promise<Deployment>, replicas: number): Promise<void> {
  for (;;) {
    const { status } = await get();
    if (status?.observedGeneration !== undefined && (status.replicas ?? 0) === replicas) return;
    await delay(20);
  }
}
