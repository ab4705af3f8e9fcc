import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Pod } from '../../api/kinds/pod.ts';
import { Job } from '../../api/kinds/job.ts';
import { StatefulSet } from '../../api/kinds/stateful-set.ts';
import { eventually } from '../eventually.ts';
import { type TestCluster, startTestCluster } from './harness.ts';
import { places } from './places.ts';

// Each test has the name of a conformance test of Kubernetes 1.23 and its promise, where containers have to run for it.

const namespace = 'default';
const image = 'k8s.test/busybox:1';
const small = { requests: { cpu: '50m', memory: '16Mi' } };
const labelsOf = (name: string) => ({ app: name });
const grace = { terminationGracePeriodSeconds: 1 };

describe('by processes', () => {
  let cluster: TestCluster;
  beforeAll(async () => void (cluster = await startTestCluster()), 90_000);
  afterAll(() => cluster?.stop(), 60_000);
  const ref = (name: string) => ({ namespace, name });
  const inPod = (pod: string, script: string) => cluster.kubectl.run('exec', pod, '--', 'sh', '-c', script);

  test('Job should run a job to completion when tasks sometimes fail and are locally restarted', async () => {
    // The volume stays while the containers of a pod are started again: each fails the first time.
    const script = 'if [ -e /tmp-of-pod/tried ]; then exit 0; fi; touch /tmp-of-pod/tried; exit 1';
    const mount = { name: 'data', mountPath: '/tmp-of-pod' };
    const command = ['sh', '-c', script];
    await cluster.client.create(Job, {
      metadata: ref('fails-locally'),
      spec: {
        parallelism: 2,
        completions: 4,
        template: {
          metadata: { labels: labelsOf('fails-locally') },
          spec: {
            restartPolicy: 'OnFailure',
            volumes: [{ name: 'data', emptyDir: {} }],
            containers: [{ name: 'c', image, command, resources: small, volumeMounts: [mount] }],
          },
        },
      },
    });
    await eventually(async () => {
      const { status } = await cluster.client.get(Job, ref('fails-locally'));
      expect(status).toMatchObject({ succeeded: 4, completionTime: expect.any(String) });
    }, 60_000);
    const { items } = await cluster.client.list(Pod, { labelSelector: 'app=fails-locally' });
    const restarts = items.map(({ status }) => status?.containerStatuses?.[0]?.restartCount);
    expect(restarts).toEqual([1, 1, 1, 1]);
  }, 90_000);

  /** Pods are ready while a file is there, so that one can be made unwell. */
  const stateful = (name: string, replicas: number, spec: Partial<StatefulSet['spec']> = {}) =>
    cluster.client.create(StatefulSet, {
      metadata: ref(name),
      spec: {
        replicas,
        serviceName: name,
        selector: { matchLabels: labelsOf(name) },
        template: {
          metadata: { labels: labelsOf(name) },
          spec: {
            ...grace,
            volumes: [{ name: 'state', emptyDir: {} }],
            containers: [
              {
                name: 'c',
                image,
                command: ['sh', '-c', 'touch /state/well; while true; do sleep 1; done'],
                volumeMounts: [{ name: 'state', mountPath: '/state' }],
                readinessProbe: {
                  exec: { command: ['test', '-e', '/state/well'] },
                  periodSeconds: 1,
                  failureThreshold: 1,
                },
                resources: small,
              },
            ],
          },
        },
        ...spec,
      },
    });
  const scale = (name: string, replicas: number) =>
    cluster.client.patch(StatefulSet, ref(name), { spec: { replicas } });
  const ready = (name: string, readyReplicas: number, replicas = readyReplicas) =>
    eventually(async () => {
      const { metadata, status } = await cluster.client.get(StatefulSet, ref(name));
      const observedGeneration = metadata.generation ?? 0;
      expect([status?.readyReplicas ?? 0, status?.replicas, status?.observedGeneration]).toEqual([
        readyReplicas,
        replicas,
        observedGeneration,
      ]);
    }, 60_000);
  /** The names of a set's pods, in the order in which they came to be. */
  const order = async (name: string) => {
    const { items } = await cluster.client.list(Pod, { labelSelector: `app=${name}` });
    const since = ({ metadata }: (typeof items)[number]) => Number(metadata.resourceVersion);
    return items.sort((a, b) => since(a) - since(b)).map(({ metadata }) => metadata.name);
  };

  test('StatefulSet Basic StatefulSet functionality Scaling should happen in predictable order and halt if any stateful pod is unhealthy', async () => {
    const heard: string[] = [];
    const over = new AbortController();
    const { resourceVersion = '' } = (await cluster.client.list(Pod, { namespace })).metadata;
    const options = { namespace, labelSelector: 'app=ss', resourceVersion };
    const watching = (async () => {
      for await (const { type, object } of cluster.client.watch(Pod, options, over.signal))
        if (type === 'ADDED' || type === 'DELETED') heard.push(`${type} ${object.metadata.name}`);
    })().catch(() => undefined);
    await stateful('ss', 1);
    await ready('ss', 1);
    await inPod('ss-0', 'rm /state/well');
    await ready('ss', 0, 1);
    await scale('ss', 3);
    await ready('ss', 0, 1);
    await inPod('ss-0', 'touch /state/well');
    await ready('ss', 3);
    expect(heard).toEqual(['ADDED ss-0', 'ADDED ss-1', 'ADDED ss-2']);
    for (const pod of ['ss-0', 'ss-1', 'ss-2']) await inPod(pod, 'rm /state/well');
    await ready('ss', 0, 3);
    await scale('ss', 0);
    await ready('ss', 0, 3);
    // From the last: one that is the first unhealthy one, as ss-0 is, is deleted as it is.
    for (const pod of ['ss-2', 'ss-1']) await inPod(pod, 'touch /state/well');
    await ready('ss', 0);
    expect(heard.slice(3)).toEqual(['DELETED ss-2', 'DELETED ss-1', 'DELETED ss-0']);
    over.abort();
    await watching;
  }, 120_000);

  test('StatefulSet Basic StatefulSet functionality Burst scaling should run to completion even with unhealthy pods', async () => {
    await stateful('burst', 1, { podManagementPolicy: 'Parallel' });
    await ready('burst', 1);
    await inPod('burst-0', 'rm /state/well');
    await ready('burst', 0, 1);
    await scale('burst', 3);
    await ready('burst', 2, 3);
    await inPod('burst-0', 'touch /state/well');
    await ready('burst', 3);
    await inPod('burst-1', 'rm /state/well');
    await ready('burst', 2, 3);
    await scale('burst', 0);
    await ready('burst', 0);
    expect(await order('burst')).toEqual([]);
  }, 120_000);

  test('StatefulSet Basic StatefulSet functionality Should recreate evicted statefulset', async () => {
    // Both want one port of one node: the second is refused there as long as the first has it.
    const nodeName = 'agent-1';
    const hostPort = 31_017;
    const ports = [{ containerPort: hostPort, hostPort }];
    const containers = [{ name: 'c', image, command: ['sleep', '1000'], resources: small, ports }];
    const holder = { metadata: ref('holder'), spec: { ...grace, nodeName, containers } };
    await cluster.client.create(Pod, holder);
    await eventually(
      async () => expect((await cluster.client.get(Pod, ref('holder'))).status?.phase).toBe('Running'),
      30_000,
    );
    const failed = new Set<string>();
    const over = new AbortController();
    const { resourceVersion = '' } = (await cluster.client.list(Pod, { namespace })).metadata;
    const watching = (async () => {
      const options = { namespace, labelSelector: 'app=evicted', resourceVersion };
      for await (const { type, object } of cluster.client.watch(Pod, options, over.signal))
        if (type === 'MODIFIED' && object.status?.phase === 'Failed') failed.add(object.metadata.uid);
    })().catch(() => undefined);
    await cluster.client.create(StatefulSet, {
      metadata: ref('evicted'),
      spec: {
        replicas: 1,
        serviceName: 'evicted',
        selector: { matchLabels: labelsOf('evicted') },
        template: { metadata: { labels: labelsOf('evicted') }, spec: { ...grace, nodeName, containers } },
      },
    });
    await eventually(() => expect(failed.size).toBeGreaterThan(1), 30_000);
    await cluster.client.delete(Pod, ref('holder'));
    await eventually(async () => {
      const { metadata, status } = await cluster.client.get(Pod, ref('evicted-0'));
      expect([status?.phase, failed.has(metadata.uid)]).toEqual(['Running', false]);
    }, 60_000);
    over.abort();
    await watching;
  }, 120_000);
});

const isolating = places.filter(([name]) => name === 'cri');

describe.each(isolating)('by containers of %s', (_, start) => {
  let place: Awaited<ReturnType<typeof start>>;
  beforeAll(async () => void (place = await start()), 90_000);
  afterAll(() => place?.stop(), 90_000);

  test.each(['ReplicaSet', 'ReplicationController'])(
    '%s should serve a basic image on each replica with a public image',
    async (kind) => {
      const { kubectl, client } = place.cluster;
      const name = `serves-${kind.toLowerCase()}`;
      const selector = kind === 'ReplicaSet' ? { matchLabels: labelsOf(name) } : labelsOf(name);
      const command = ['sh', '-c', 'mkdir /www; hostname > /www/index.html; exec httpd -f -p 9376 -h /www'];
      const containers = [{ name: 'c', image, command, resources: small, ports: [{ containerPort: 9376 }] }];
      const template = { metadata: { labels: labelsOf(name) }, spec: { ...grace, containers } };
      const spec = { replicas: 2, selector, template };
      const apiVersion = kind === 'ReplicaSet' ? 'apps/v1' : 'v1';
      await kubectl.feed(JSON.stringify({ apiVersion, kind, metadata: { name }, spec }), 'create', '-f', '-');
      const pods = await eventually(async () => {
        const { items } = await client.list(Pod, { labelSelector: `app=${name}` });
        expect(items.map(({ status }) => status?.phase)).toEqual(['Running', 'Running']);
        return items.map(({ metadata }) => metadata.name);
      }, 60_000);
      for (const pod of pods)
        await eventually(
          async () =>
            expect(await kubectl.run('get', '--raw', `/api/v1/namespaces/default/pods/${pod}:9376/proxy/`)).toBe(
              `${pod}\n`,
            ),
          20_000,
        );
    },
    90_000,
  );
});
