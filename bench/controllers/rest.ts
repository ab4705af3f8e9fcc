/** What 5,000 Deployments cost that want nothing: requests that write, and processor time of controllers and apiserver. */
import { Deployment } from '../../api/kinds/deployment.ts';
import { delay } from '../../lib/delay.ts';
import { deployment } from '../../test/controllers/harness.ts';
import { processorSeconds } from '../process-use.ts';
import { report } from '../report.ts';
import { startWorld, until } from './world.ts';

const bench = 'controllers';
const resting = 5000;
const restMs = 20_000;

export async function rest(): Promise<void> {
  const w = await startWorld();
  const { client } = w;
  for (let at = 0; at < resting; at += 50)
    await Promise.all(Array.from({ length: 50 }, (_, i) => client.create(Deployment, deployment(`web-${at + i}`, 0))));
  let [last, now] = [-1, await writes()];
  while (now !== last) {
    await delay(3000);
    [last, now] = [now, await writes()];
  }
  await until(async () => (await client.list(Deployment)).items.every(({ status }) => status?.observedGeneration), 100);
  const [before, used] = [await writes(), processorSeconds(process.pid)];
  await delay(restMs);
  const part = ((processorSeconds(process.pid) - used) * 1000 * 100) / restMs;
  const value = (await writes()) - before;
  report({ bench, case: '5,000 Deployments at rest, writes', value, unit: 'writes', goal: 0, lower: true });
  const name = '5,000 Deployments at rest, processor';
  report({ bench, case: name, value: part, unit: '% of a core', goal: 3, lower: true });
  await w.stop();

  /** Requests that wanted to change something. */
  async function writes(): Promise<number> {
    const { body } = await client.request('GET', '/metrics');
    const lines = (await body.text()).matchAll(
      /^apiserver_request_total\{.*verb="(?:POST|PUT|PATCH|APPLY|DELETE\w*)".*\} (\d+)$/gm,
    );
    return [...lines].reduce((sum, [, count]) => sum + Number(count), 0);
  }
}
