/** A node falls silent: how long after the time that its taint gives them its 100 pods have been made anew. */
import { Deployment } from '../../api/kinds/deployment.ts';
import { Node } from '../../api/kinds/node.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { timestamp } from '../../api/meta.ts';
import { deployment, running } from '../../test/controllers/harness.ts';
import { median, report } from '../report.ts';
import { startWorld, until, watchPods } from './world.ts';

const pods = 100;
const tolerationSeconds = 3;

export async function nodeLoss(): Promise<void> {
  const w = await startWorld({ nodeMonitorGracePeriod: 3000, nodeEvictionRate: 100 });
  const { client } = w;
  const seen = await watchPods(w);
  const heartbeat = (name: string) =>
    client.patch(
      Node,
      { name },
      {
        status: {
          conditions: [
            { type: 'Ready', status: 'True', reason: 'KubeletReady', lastHeartbeatTime: timestamp(Date.now()) },
          ],
        },
      },
      { type: 'strategic', subresource: 'status' },
    );
  await client.create(Node, { metadata: { name: 'well' } });
  const beats = setInterval(() => void heartbeat('well').catch(() => undefined), 1000);
  const tolerations = ['not-ready', 'unreachable'].map((key) => ({
    ...({ operator: 'Exists', effect: 'NoExecute' } as const),
    key: `node.kubernetes.io/${key}`,
    tolerationSeconds,
  }));
  let round = 0;
  const value = await median(3, async () => {
    const name = `lost-${++round}`;
    await client.create(Node, { metadata: { name } });
    const alive = setInterval(() => void heartbeat(name).catch(() => undefined), 500);
    const one = deployment(name, pods);
    const template = { ...one.spec.template, spec: { ...one.spec.template.spec, tolerations } };
    const of = () => [...seen.list()].filter(({ metadata }) => metadata.labels?.['app'] === name);
    await client.create(Deployment, { ...one, spec: { ...one.spec, template } });
    await until(() => of().length === pods);
    for (const pod of of()) await place(pod.metadata.name, name);
    await until(async () => !(await client.get(Node, { name })).spec?.taints?.length, 50);
    clearInterval(alive);
    const driving = async () =>
      (await client.get(Node, { name })).spec?.taints?.find(({ effect }) => effect === 'NoExecute')?.timeAdded;
    await until(async () => Boolean(await driving()), 50);
    const due = Date.parse((await driving()) ?? '') + tolerationSeconds * 1000;
    await until(
      () => of().filter(({ spec, metadata }) => !spec.nodeName && !metadata.deletionTimestamp).length === pods,
    );
    const late = Date.now() - due;
    // More than half of a small zone that is ill loses no pods.
    await client.delete(Deployment, { namespace: 'default', name });
    await client.delete(Node, { name });
    const every = `/api/v1/namespaces/default/pods?labelSelector=app%3D${name}`;
    await client.raw('DELETE', every, { gracePeriodSeconds: 0 });
    await until(() => of().length === 0);
    return late;
  });
  clearInterval(beats);
  report({
    bench: 'controllers',
    case: 'a lost node of 100 pods, made anew',
    value,
    unit: 'ms',
    goal: 2000,
    lower: true,
  });
  await w.stop();

  /** What the scheduler and a kubelet do with it. */
  async function place(name: string, node: string): Promise<void> {
    const ref = { namespace: 'default', name };
    const binding = { metadata: { name }, target: { apiVersion: 'v1', kind: 'Node', name: node } };
    await client.raw('POST', `/api/v1/namespaces/default/pods/${name}/binding`, binding);
    await client.patch(Pod, ref, { status: running() }, { subresource: 'status' });
  }
}
