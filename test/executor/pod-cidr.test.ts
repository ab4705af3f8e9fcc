import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Node } from '../../api/kinds/node.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { type Containerd, containerdIsHere, startContainerd } from './containerd.ts';
import { type ExecutorForTests, startExecutorForTests, testNode } from './executor-for-tests.ts';
import { busyboxImage } from './images.ts';
import { aPod, eventually } from './pods-for-tests.ts';

// The way of networks that give every node a part of the addresses of pods and leave the configuration of CNI to the runtime.

/** Has containerd make its CNI configuration of the node's addresses, instead of the one that is there. */
async function fromPodCidr({ directory, kill, start }: Containerd): Promise<void> {
  const at = (name: string) => join(directory, name);
  const [config, network, template] = [at('config.toml'), at('net.d/10-km.conflist'), at('network.template')];
  writeFileSync(template, readFileSync(network, 'utf8').replace(/"subnet":"[^"]*"/, '"subnet":"{{.PodCIDR}}"'));
  writeFileSync(config, `${readFileSync(config, 'utf8')}    conf_template = "${template}"\n`);
  rmSync(network);
  await kill();
  await start();
}

const describeHere = containerdIsHere && process.getuid?.() === 0 ? describe : describe.skip;
describeHere('a node with a part of the addresses of pods', () => {
  let containerd: Containerd;
  let place: ExecutorForTests;
  beforeAll(async () => {
    containerd = await startContainerd(27);
    await fromPodCidr(containerd);
    const criSocket = `unix://${containerd.socket}`;
    place = await startExecutorForTests({
      ...{ runtime: 'cri', criSocket, cgroupParent: containerd.cgroup, nodeStatusInterval: 200 },
    });
  }, 60_000);
  afterAll(async () => {
    await place?.close();
    await containerd?.stop();
  }, 60_000);

  test('tells the runtime, which makes a network of them: a pod that waited for one starts, with one of them; until then, and while the runtime is away, it is not ready', async () => {
    const spec = { restartPolicy: 'Never' as const, terminationGracePeriodSeconds: 1 };
    await place.place(aPod({ image: busyboxImage, command: ['sleep', '1000'] }, spec, 'waits'));
    const pod = { namespace: 'default', name: 'waits' };
    const { status } = await place.client.get(Pod, pod);
    expect(status?.podIP).toBeUndefined();
    const readiness = async () => {
      const { status: node } = await place.client.get(Node, { name: testNode });
      const ready = node?.conditions?.find(({ type }) => type === 'Ready');
      return `${ready?.status} ${ready?.reason}: ${ready?.message}`;
    };
    // As any kubelet says it: no network, no pods.
    const isWithout = /^False KubeletNotReady: container runtime is not ready: NetworkReady=false reason:Net/;
    await eventually(async () => isWithout.test(await readiness()), 'the node to say that it has no network');
    await place.client.patch(Node, { name: testNode }, { spec: { podCIDR: '10.89.27.64/26' } });
    const ip = await eventually(async () => (await place.client.get(Pod, pod)).status?.podIP, 'its address', 30_000);
    await eventually(async () => (await readiness()).startsWith('True KubeletReady'), 'the node to be ready');
    expect(ip).toMatch(/^10\.89\.27\.(6[5-9]|[7-9]\d|1[01]\d|12[0-6])$/);
    await place.client.delete(Pod, pod);
    await containerd.kill();
    const isDown = /^False KubeletNotReady: container runtime is down: /;
    await eventually(async () => isDown.test(await readiness()), 'the node to be not ready');
    await containerd.start();
    await eventually(async () => (await readiness()).startsWith('True KubeletReady'), 'the node to be ready again');
    await eventually(
      () =>
        place.client.get(Pod, pod).then(
          () => undefined,
          () => true,
        ),
      'its end',
      30_000,
    );
  }, 90_000);
});
