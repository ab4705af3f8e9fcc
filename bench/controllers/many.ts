/** A Deployment of 1,000 comes up, then its namespace goes; the first time warms the processes up and is told apart. */
import { Deployment } from '../../api/kinds/deployment.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { Namespace } from '../../api/kinds/namespace.ts';
import { isNotFound } from '../../api/status.ts';
import { deployment } from '../../test/controllers/harness.ts';
import { median, report } from '../report.ts';
import { startWorld, until } from './world.ts';

const bench = 'controllers';
const pods = 1000;

export async function many(): Promise<void> {
  const w = await startWorld();
  const { client } = w;
  const gone: number[] = [];
  let round = 0;
  const once = async () => {
    const namespace = `many-${++round}`;
    await client.create(Namespace, { metadata: { name: namespace } });
    const one = deployment('web', pods);
    const started = performance.now();
    await client.create(Deployment, { ...one, metadata: { ...one.metadata, namespace } });
    await until(async () => (await countOf(namespace)) === pods, 10);
    const took = performance.now() - started;
    await until(async () => (await client.get(Deployment, { namespace, name: 'web' })).status?.replicas === pods, 20);
    gone.push(await deletionOf(namespace));
    return took;
  };
  report({ bench, case: 'a Deployment of 1,000 has its pods in, first time', value: await once(), unit: 'ms' });
  gone.length = 0;
  const up = await median(5, once);
  report({ bench, case: 'a Deployment of 1,000 has its pods in', value: up, unit: 'ms', goal: 1200, lower: true });
  const down = gone.toSorted((a, b) => a - b)[2] ?? NaN;
  report({ bench, case: 'a namespace of 1,000 pods goes', value: down, unit: 'ms', goal: 4000, lower: true });
  await w.stop();

  /** Asked for, as a watch of our own would be one more to serve for each pod. */
  async function countOf(namespace: string): Promise<number> {
    const { items, metadata } = await client.list(Pod, { namespace, limit: 1 });
    return items.length + (metadata.remainingItemCount ?? 0);
  }

  async function deletionOf(name: string): Promise<number> {
    const started = performance.now();
    await client.delete(Namespace, { name });
    await until(() => client.get(Namespace, { name }).then(() => false, isNotFound), 20);
    return performance.now() - started;
  }
}
