import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Node } from '../../api/kinds/node.ts';
import { Pod } from '../../api/kinds/pod.ts';
import type { Stored } from '../../api/meta.ts';
import { staticPods } from '../../executor/static-pod.ts';
import { type ExecutorForTests, startExecutorForTests, testNode } from './executor-for-tests.ts';
import { eventually } from './pods-for-tests.ts';

/** In a command `$$` is one `$`. */
const manifest = (name: string, script: string, more = '') => `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { tier: node } }
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - { name: c, image: none, command: [sh, -c, ${JSON.stringify(script)}] }
${more}`;

const origin = { source: 'file', from: '/m/web.yaml', nodeName: 'n1', now: 0 } as const;

describe('a manifest', () => {
  test('gives a pod of its node, whose uid changes with whatever is in it', async () => {
    const [pod] = await staticPods(manifest('web', 'true'), origin);
    expect(pod).toMatchObject({
      metadata: {
        name: 'web-n1',
        namespace: 'default',
        labels: { tier: 'node' },
        annotations: { 'kubernetes.io/config.source': 'file', 'kubernetes.io/config.hash': pod!.metadata.uid },
      },
      spec: { nodeName: 'n1', restartPolicy: 'Always', tolerations: [{ operator: 'Exists', effect: 'NoExecute' }] },
    });
    expect((await staticPods(manifest('web', 'true'), { ...origin, now: 9 }))[0]!.metadata.uid).toBe(pod!.metadata.uid);
    expect((await staticPods(manifest('web', 'false'), origin))[0]!.metadata.uid).not.toBe(pod!.metadata.uid);
    expect((await staticPods(manifest('web', 'true'), { ...origin, nodeName: 'n2' }))[0]!.metadata.uid).not.toBe(
      pod!.metadata.uid,
    );
  });

  test('may hold several pods, as documents or as a list in JSON', async () => {
    const two = `${manifest('a', 'true')}---${manifest('b', 'true')}`;
    expect((await staticPods(two, origin)).map((pod) => pod.metadata.name)).toEqual(['a-n1', 'b-n1']);
    const items = [{ metadata: { name: 'a' }, spec: { containers: [{ name: 'c', image: 'i' }] } }];
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'PodList', items });
    expect((await staticPods(list, origin)).map((pod) => pod.metadata.name)).toEqual(['a-n1']);
    expect(await staticPods('', origin)).toEqual([]);
  });

  test.each([
    ['it is a Job (batch/v1), not a Pod (v1)', 'apiVersion: batch/v1\nkind: Job'],
    ['metadata.name: Required value', 'kind: Pod\nspec: { containers: [{ name: c, image: i }] }'],
    ['spec.containers: Required value', 'kind: Pod\nmetadata: { name: a }'],
    ['unknown field "spec.contaners"', 'kind: Pod\nmetadata: { name: a }\nspec: { contaners: [] }'],
    ['cannot refer to secrets', manifest('a', 'true', '  volumes: [{ name: v, secret: { secretName: s } }]')],
    ['cannot refer to a service account', manifest('a', 'true', '  serviceAccountName: me')],
    ['Missing closing', '{ "kind": "Pod", "metadata": { "name": "'],
  ])('that cannot be used says why: %s', async (words, text) => {
    await expect(staticPods(text, origin)).rejects.toThrow(words);
  });
});

describe('an executor with manifests', () => {
  let place: ExecutorForTests;
  let manifests: string;
  let web: { server: ReturnType<typeof createServer>; text: string };
  beforeAll(async () => {
    manifests = mkdtempSync('/dev/shm/km-manifests-');
    web = { server: createServer((_, response) => response.end(web.text)), text: manifest('remote', 'sleep 100') };
    await new Promise<void>((resolve) => web.server.listen(0, '127.0.0.1', resolve));
    writeFileSync(join(manifests, 'first.yaml'), manifest('first', `echo $$$$ > ${manifests}/.one; exec sleep 100`));
    place = await startExecutorForTests({
      podManifestPath: manifests,
      manifestUrl: `http://127.0.0.1:${(web.server.address() as AddressInfo).port}/`,
      httpCheckFrequency: 200,
      rootDir: join(manifests, '.root'),
    });
  });
  afterAll(async () => {
    await place?.close();
    web?.server.close();
    rmSync(manifests, { recursive: true, force: true });
  });

  const find = (name: string) =>
    place.client.get(Pod, { namespace: 'default', name: `${name}-${testNode}` }).catch(() => undefined);
  const running = (name: string, is: (pod: Pod & Stored) => boolean = () => true) =>
    eventually(async () => {
      const pod = await find(name);
      const isRunning = pod?.status?.phase === 'Running' && pod.status.containerStatuses?.[0]?.ready;
      return isRunning && is(pod) ? pod : undefined;
    }, `${name} to run`);
  const gone = (name: string) => eventually(async () => (await find(name)) === undefined, `${name} to be gone`);
  const put = (name: string, text: string) => {
    writeFileSync(join(manifests, `.${name}`), text);
    renameSync(join(manifests, `.${name}`), join(manifests, name));
  };
  const pidIn = (name: string) => readFileSync(join(manifests, name), 'utf8').trim();

  test('runs them without a task, and shows them as mirrors that its node owns', async () => {
    const pod = await running('first');
    const node = await place.client.get(Node, { name: testNode });
    expect(pod.metadata.ownerReferences).toEqual([
      { apiVersion: 'v1', kind: 'Node', name: testNode, uid: node.metadata.uid, controller: true },
    ]);
    const { annotations = {} } = pod.metadata;
    expect(annotations['kubernetes.io/config.mirror']).toBe(annotations['kubernetes.io/config.hash']);
    expect(annotations['kubernetes.io/config.source']).toBe('file');
    expect((await running('remote')).metadata.annotations?.['kubernetes.io/config.source']).toBe('http');
    expect(place.agent.updates).toEqual([]);
  });

  test('makes a mirror again that somebody deleted, and leaves the pod alone', async () => {
    const before = await running('first');
    const pid = pidIn('.one');
    await place.client.delete(Pod, before.metadata);
    const after = await running('first', (pod) => pod.metadata.uid !== before.metadata.uid);
    expect(after.status?.containerStatuses?.[0]).toMatchObject({
      containerID: before.status!.containerStatuses![0]!.containerID!,
      restartCount: 0,
    });
    expect(pidIn('.one')).toBe(pid);
    expect(existsSync(`/proc/${pid}`)).toBe(true);
  });

  test('replaces the pod when its manifest changes, the old one first', async () => {
    const before = await running('first');
    const pid = pidIn('.one');
    const script = `[ -e /proc/${pid} ] && echo both > ${manifests}/.both; echo $$$$ > ${manifests}/.two; exec sleep 100`;
    put('first.yaml', manifest('first', script));
    const after = await running('first', (pod) => pod.metadata.uid !== before.metadata.uid);
    expect(after.metadata.annotations?.['kubernetes.io/config.hash']).not.toBe(
      before.metadata.annotations?.['kubernetes.io/config.hash'],
    );
    await eventually(() => existsSync(join(manifests, '.two')), 'the new pod');
    expect(existsSync(`/proc/${pid}`)).toBe(false);
    expect(existsSync(join(manifests, '.both'))).toBe(false);
  });

  test('takes new manifests up, ends pods whose manifest is gone, and keeps those whose manifest is broken', async () => {
    put('second.json', JSON.stringify({ kind: 'Pod', metadata: { name: 'second' }, spec: { containers: [sleeper] } }));
    await running('second');
    put('first.yaml', '{ half a manifest');
    put('third.yaml', manifest('third', 'exec sleep 100'));
    await running('third');
    expect((await find('first'))?.status?.phase).toBe('Running');
    rmSync(join(manifests, 'first.yaml'));
    rmSync(join(manifests, 'second.json'));
    await Promise.all([gone('first'), gone('second')]);
    await eventually(() => !existsSync(`/proc/${pidIn('.two')}`), 'its process to end');
    put('second.json', JSON.stringify({ kind: 'Pod', metadata: { name: 'second' }, spec: { containers: [sleeper] } }));
    await running('second');
    web.text = '';
    await gone('remote');
  });

  test('takes mirrors away whose manifest went while it was not there', async () => {
    rmSync(join(manifests, 'second.json'));
    mkdirSync(join(manifests, 'a-directory-is-no-manifest'));
    await place.restart();
    await gone('second');
    await running('third');
  });

  test('ends them when Mesos ends the executor', async () => {
    place.agent.send({ type: 'SHUTDOWN' });
    await eventually(async () => {
      const pod = await find('third');
      return pod?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'False');
    }, 'the pod to end');
    expect(await place.closed).toContain('shutdown');
  });
});

const sleeper = { name: 'c', image: 'none', command: ['sleep', '100'] };
