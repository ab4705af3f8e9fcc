import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { WebSocket } from 'ws';
import { Node } from '../../api/kinds/node.ts';
import { Pod, type Toleration } from '../../api/kinds/pod.ts';
import { isNotFound } from '../../api/status.ts';
import { readKubeconfig } from '../../client/kubeconfig.ts';
import { heard } from '../client/every-verb.ts';
import { eventually } from '../eventually.ts';
import { containerdIsHere } from '../executor/containerd.ts';
import type { TestCluster } from './harness.ts';
import { type Place, withContainerd } from './places.ts';

/* Pods by the API of a whole km on containerd: each test has the name of a conformance test of Kubernetes 1.23 ([sig-node]), and its promise. */

const describeHere = containerdIsHere && process.getuid?.() === 0 ? describe : describe.skip;
describeHere('with containerd', () => {
  let place: Place;
  let cluster: TestCluster;
  beforeAll(async () => {
    place = await withContainerd();
    cluster = place.cluster;
  }, 90_000);
  afterAll(async () => {
    await cluster?.kubectl.try('delete', 'pods', '--all', '--grace-period=0', '--force', '--timeout=30s');
    await place?.stop();
  }, 90_000);

  const namespace = 'default';
  const pod = (name: string, more: Partial<Pod['spec']> = {}, metadata: Pod['metadata'] = {}): Pod => ({
    metadata: { name, namespace, ...metadata },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'c', image: 'k8s.test/busybox:1', command: ['sh', '-c', 'echo up; sleep 1000'] }],
      ...more,
    },
  });
  const running = (name: string) =>
    eventually(async () => {
      const found = await cluster.client.get(Pod, { namespace, name });
      expect(found.status?.containerStatuses?.[0]?.ready).toBe(true);
      return found;
    }, 30_000);
  const isGone = (name: string) =>
    eventually(
      async () => expect(await cluster.client.get(Pod, { namespace, name }).then(() => false, isNotFound)).toBe(true),
      30_000,
    );

  test('Pods should be submitted and removed', async () => {
    const types = await heard(
      cluster.client,
      Pod,
      { namespace, name: 'submitted' },
      async () => {
        await cluster.client.create(Pod, pod('submitted'));
        await running('submitted');
        await cluster.client.delete(Pod, { namespace, name: 'submitted' });
      },
      'DELETED',
    );
    expect([types[0], types.at(-1)]).toEqual(['ADDED', 'DELETED']);
    expect((await cluster.client.list(Pod, { namespace, fieldSelector: 'metadata.name=submitted' })).items).toEqual([]);
  });

  test('Pods should be updated', async () => {
    await cluster.client.create(Pod, pod('updated', {}, { labels: { time: 'old' } }));
    const { metadata } = await running('updated');
    const current = await cluster.client.get(Pod, { namespace, name: 'updated' });
    await cluster.client.update(Pod, { ...current, metadata: { ...current.metadata, labels: { time: 'new' } } });
    const found = await cluster.client.list(Pod, { namespace, labelSelector: 'time=new' });
    expect(found.items.map(({ metadata: { uid } }) => uid)).toEqual([metadata.uid]);
  });

  test('Pods should delete a collection of pods', async () => {
    const names = ['set-1', 'set-2', 'set-3'];
    for (const name of names) await cluster.client.create(Pod, pod(name, {}, { labels: { type: 'Testing' } }));
    for (const name of names) await running(name);
    await cluster.client.raw('DELETE', `/api/v1/namespaces/${namespace}/pods?labelSelector=type%3DTesting`);
    for (const name of names) await isGone(name);
  });

  test('Pods should get a host IP', async () => {
    await cluster.client.create(Pod, pod('hosted'));
    const { status, spec } = await running('hosted');
    const node = await cluster.client.get(Node, { name: spec.nodeName! });
    expect(node.status!.addresses!.map(({ address }) => address)).toContain(status!.hostIP);
  });

  test('Pods should run through the lifecycle of Pods and PodStatus', async () => {
    const ref = { namespace, name: 'lives' };
    await cluster.client.create(Pod, pod('lives', {}, { labels: { static: 'true' } }));
    await running('lives');
    const patched = await cluster.client.patch(Pod, ref, { metadata: { labels: { patched: 'yes' } } });
    expect(patched.metadata.labels).toMatchObject({ static: 'true', patched: 'yes' });
    const condition = { type: 'StatusUpdate', status: 'True', reason: 'E2E', message: 'told by somebody else' };
    const status = { conditions: [condition] };
    const told = await cluster.client.patch(Pod, ref, { status }, { type: 'strategic', subresource: 'status' });
    expect(told.status!.conditions).toContainEqual(expect.objectContaining(condition));
    await cluster.client.patch(Pod, ref, { metadata: { labels: { patched: null } } });
    const later = await running('lives');
    // The kubelet keeps conditions that are not its own.
    expect(later.status!.conditions).toContainEqual(expect.objectContaining(condition));
    await cluster.client.raw('DELETE', `/api/v1/namespaces/${namespace}/pods?labelSelector=static%3Dtrue`);
    await isGone('lives');
  });

  const socketTo = (path: string, protocols: string[]) => {
    const { server, ca, cert, key, token } = readKubeconfig(cluster.kubeconfig);
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    return new WebSocket(`${server.replace(/^http/, 'ws')}/api/v1/namespaces/${namespace}/pods/${path}`, protocols, {
      ...{ ca, cert, key, headers },
    });
  };
  const heardOn = (socket: WebSocket) =>
    new Promise<Buffer[]>((resolve, reject) => {
      const messages: Buffer[] = [];
      socket.on('error', reject);
      socket.on('message', (message: Buffer) => messages.push(message));
      socket.on('close', () => resolve(messages));
    });

  test('Pods should support remote command execution over websockets', async () => {
    await cluster.client.create(Pod, pod('remote'));
    await running('remote');
    const query = 'command=echo&command=remote+execution+test&stdout=1&stderr=1&container=c';
    const messages = await heardOn(socketTo(`remote/exec?${query}`, ['v4.channel.k8s.io']));
    const channel = (number: number) =>
      Buffer.concat(messages.filter((m) => m[0] === number).map((m) => m.subarray(1))).toString();
    expect(channel(1)).toBe('remote execution test\n');
    expect(JSON.parse(channel(3))).toMatchObject({ status: 'Success' });
  });

  test('Pods should support retrieving logs from the container over websockets', async () => {
    await cluster.client.create(Pod, pod('logged'));
    await running('logged');
    const messages = await heardOn(socketTo('logged/log?container=c', ['binary.k8s.io']));
    expect(Buffer.concat(messages).toString()).toBe('up\n');
  });

  describe('on a node that is tainted', () => {
    const patient = (name: string, tolerationSeconds: number, nodeName?: string) =>
      pod(name, {
        tolerations: [{ key: 'evict', operator: 'Exists', effect: 'NoExecute', tolerationSeconds }],
        ...(nodeName ? { nodeSelector: { 'kubernetes.io/hostname': nodeName } } : {}),
      });
    const taint = (node: string, change: string) => cluster.kubectl.run('taint', 'node', node, change);

    test('NoExecuteTaintManager Multiple Pods evicts pods with minTolerationSeconds', async () => {
      await cluster.client.create(Pod, patient('short', 1));
      const node = (await running('short')).spec.nodeName!;
      const { metadata } = await cluster.client.get(Node, { name: node });
      await cluster.client.create(Pod, patient('longer', 10, metadata.labels!['kubernetes.io/hostname']));
      await running('longer');
      await taint(node, 'evict=now:NoExecute');
      try {
        const leaves = async (name: string) =>
          (await cluster.client.get(Pod, { namespace, name })).metadata.deletionTimestamp !== undefined;
        await eventually(async () => expect(await leaves('short').catch(isNotFound)).toBe(true), 20_000);
        expect(await leaves('longer')).toBe(false);
        await isGone('longer');
      } finally {
        await taint(node, 'evict-');
      }
    });

    test('NoExecuteTaintManager Single Pod removing taint cancels eviction', async () => {
      const forGood: Toleration = { key: 'other', operator: 'Exists', effect: 'NoExecute' };
      const spared = patient('spared', 3);
      await cluster.client.create(Pod, {
        ...spared,
        spec: { ...spared.spec, tolerations: [...spared.spec.tolerations!, forGood] },
      });
      const { spec, metadata } = await running('spared');
      const { labels } = (await cluster.client.get(Node, { name: spec.nodeName! })).metadata;
      const clock = patient('clock', 3, labels!['kubernetes.io/hostname']);
      await cluster.client.create(Pod, {
        ...clock,
        spec: { ...clock.spec, tolerations: [{ ...forGood, tolerationSeconds: 4 }] },
      });
      await running('clock');
      await taint(spec.nodeName!, 'evict=now:NoExecute');
      await taint(spec.nodeName!, 'evict-');
      // Another taint, another patience: that one is gone when that of the first would be over, too.
      await taint(spec.nodeName!, 'other=now:NoExecute');
      try {
        await isGone('clock');
        const left = await cluster.client.get(Pod, { namespace, name: 'spared' });
        expect([left.metadata.uid, left.metadata.deletionTimestamp]).toEqual([metadata.uid, undefined]);
      } finally {
        await taint(spec.nodeName!, 'other-');
      }
    });
  });
});
