import { once } from 'node:events';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../eventually.ts';
import { busyboxImage } from '../executor/images.ts';
import { type TestCluster, startTestCluster } from './harness.ts';
import { Kubectl, newestKubectl } from './kubectl.ts';
import { deploymentOf, serviceOf, templateOf } from './manifests.ts';

// Each test has the name of a conformance test of Kubernetes 1.23 ([sig-cli]) and its promise, on the try-out.

let cluster: TestCluster;
let k: Kubectl;
beforeAll(async () => {
  cluster = await startTestCluster();
  k = new Kubectl(newestKubectl(), cluster.kubeconfig);
  await apply(controller('shown', 1));
}, 90_000);
afterAll(() => cluster?.stop(), 60_000);

const image = busyboxImage;
const sleeping = { command: ['sleep', '1000'] };
const controller = (name: string, replicas: number, more: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ReplicationController',
  metadata: { name, labels: { app: name } },
  spec: { replicas, selector: { app: name }, template: templateOf(name, { ...sleeping, ...more }) },
});
async function apply(...objects: object[]): Promise<void> {
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
  expect(await k.feed(list, 'apply', '-f', '-')).toMatchObject({ code: 0 });
}
const podsOf = async (name: string): Promise<string[]> =>
  (await k.run('get', 'pods', '-l', `app=${name}`, '--field-selector=status.phase=Running', '-o', 'name'))
    .split('\n')
    .filter(Boolean);
const runs = (name: string, count: number) =>
  eventually(async () => expect(await podsOf(name)).toHaveLength(count), 60_000);

/** What `kubectl proxy` answers, by a port or a socket. */
function asked(where: { port: number } | { socketPath: string }): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ ...where, path: '/api/' }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve(text));
    })
      .on('error', reject)
      .end();
  });
}

describe('Kubectl client', () => {
  test('Kubectl client Update Demo should create and stop a replication controller', async () => {
    await apply(controller('demo', 2));
    await runs('demo', 2);
    await k.run('delete', 'rc', 'demo', '--grace-period=0', '--force');
    await eventually(
      async () => expect(await k.run('get', 'rc,pods', '-l', 'app=demo', '-o', 'name')).toBe(''),
      30_000,
    );
  }, 120_000);

  test('Kubectl client Update Demo should scale a replication controller', async () => {
    await apply(controller('scaled', 2));
    await runs('scaled', 2);
    await k.run('scale', 'rc', 'scaled', '--replicas=1', '--timeout=1m');
    await runs('scaled', 1);
    await k.run('scale', 'rc', 'scaled', '--replicas=2', '--timeout=1m');
    await runs('scaled', 2);
    await k.run('delete', 'rc', 'scaled');
  }, 120_000);

  test('Kubectl client Guestbook application should create and stop a working application', async () => {
    // The store keeps entries in a file; the front end asks it by its Service.
    const port = 18_379;
    const serve = (text: string) =>
      `while true; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\n${text}' | nc -l -p ${port}; done`;
    const deployment = (name: string, script: string) => {
      const command = ['/bin/busybox', 'sh', '-c', script.replaceAll('nc ', '/bin/busybox nc ')];
      return { ...deploymentOf(name, 1, { command }), metadata: { name, labels: { suite: 'guestbook' } } };
    };
    const service = {
      ...serviceOf('agnhost-primary', { port: 6379, targetPort: port }),
      metadata: { name: 'agnhost-primary', labels: { suite: 'guestbook' } },
    };
    const frontend =
      'while true; do /bin/busybox wget -q -O - http://$AGNHOST_PRIMARY_SERVICE_HOST:6379/ && echo; sleep 1; done';
    await apply(service, deployment('agnhost-primary', serve('TestEntry')));
    await runs('agnhost-primary', 1);
    await apply(deployment('frontend', frontend));
    await runs('frontend', 1);
    await eventually(async () => expect(await k.run('logs', '-l', 'app=frontend')).toContain('TestEntry'), 60_000);
    await k.run('delete', 'deployments,services', '-l', 'suite=guestbook');
    await eventually(async () => expect(await podsOf('frontend')).toEqual([]), 30_000);
  }, 180_000);

  test('Kubectl client Kubectl api-versions should check if v1 is in available api versions', async () =>
    expect((await k.run('api-versions')).split('\n')).toContain('v1'));

  test('Kubectl client Kubectl cluster-info should check if Kubernetes control plane services is included in cluster-info', async () =>
    expect(await k.run('cluster-info')).toMatch(/Kubernetes (control plane|master).*is running at/));

  test('Kubectl client Kubectl version should check is all data is printed', async () => {
    const said = await k.run('version', '-o', 'json');
    for (const [side, member] of [
      ['clientVersion', 'gitVersion'],
      ['serverVersion', 'gitVersion'],
      ['serverVersion', 'gitCommit'],
      ['serverVersion', 'buildDate'],
      ['serverVersion', 'platform'],
    ] as const)
      expect((JSON.parse(said) as Record<string, Record<string, string>>)[side]?.[member]).toBeTruthy();
  });

  test('Kubectl client Kubectl describe should check if kubectl describe prints relevant information for rc and pods', async () => {
    await runs('shown', 1);
    const [pod] = await podsOf('shown');
    const ofPod = await k.run('describe', pod!);
    for (const words of [
      /Controlled By: +ReplicationController\/shown/,
      /Image: +k8s\.test\/busybox:1/,
      /Status: +Running/,
      /Node: /,
      /Labels: +app=shown/,
    ])
      expect(ofPod).toMatch(words);
    const ofController = await k.run('describe', 'rc', 'shown');
    for (const words of [
      /Selector: +app=shown/,
      /Replicas: +1 current \/ 1 desired/,
      /Pods Status: +1 Running/,
      /SuccessfulCreate/,
    ])
      expect(ofController).toMatch(words);
    const node = (await k.run('get', pod!, '-o', 'jsonpath={.spec.nodeName}')).trim();
    for (const words of [/Conditions:/, /Capacity:/, /Allocatable:/, /Non-terminated Pods:/, /Kubelet Version: /])
      expect(await k.run('describe', 'node', node)).toMatch(words);
    expect(await k.run('describe', 'namespace', 'default')).toMatch(/Status: +Active/);
  }, 90_000);

  test('Kubectl client Kubectl expose should create services for rc', async () => {
    await k.run('expose', 'rc', 'shown', '--name=rm2', '--port=1234', '--target-port=6379');
    await k.run('expose', 'service', 'rm2', '--name=rm3', '--port=2345', '--target-port=6379');
    for (const [name, port] of [
      ['rm2', '1234'],
      ['rm3', '2345'],
    ] as const) {
      expect(await k.run('get', 'service', name, '-o', 'jsonpath={.spec.ports[0].port}')).toBe(port);
      await eventually(async () =>
        expect(await k.run('get', 'endpoints', name, '-o', 'jsonpath={.subsets[0].ports[0].port}')).toBe('6379'),
      );
    }
  }, 60_000);

  test('Kubectl client Kubectl label should update the label on a resource', async () => {
    const [pod] = await podsOf('shown');
    await k.run('label', pod!, 'testing-label=testing-label-value');
    expect(await k.run('get', pod!, '-L', 'testing-label')).toContain('testing-label-value');
    await k.run('label', pod!, 'testing-label-');
    expect(await k.run('get', pod!, '-L', 'testing-label')).not.toContain('testing-label-value');
  });

  test('Kubectl client Kubectl patch should add annotations for pods in rc', async () => {
    for (const pod of await podsOf('shown')) {
      await k.run('patch', pod, '-p', '{"metadata":{"annotations":{"x":"y"}}}');
      expect(await k.run('get', pod, '-o', 'jsonpath={.metadata.annotations.x}')).toBe('y');
    }
  });

  test('Kubectl client Kubectl diff should check if kubectl diff finds a difference for Deployments', async () => {
    const deployment = (of: string) => deploymentOf('differs', 0, { ...sleeping, image: of });
    await apply(deployment(image));
    const { code, stdout } = await k.feed(JSON.stringify(deployment('k8s.test/other:2')), 'diff', '-f', '-');
    expect([code, stdout]).toEqual([1, expect.stringMatching(/-.*busybox:1[\s\S]*\+.*other:2/)]);
    await k.run('delete', 'deployment', 'differs');
  });

  const single = (name: string) => {
    const { metadata, spec } = templateOf(name, sleeping);
    return { apiVersion: 'v1', kind: 'Pod', metadata: { name, ...metadata }, spec };
  };

  test("Kubectl client Kubectl replace should update a single-container pod's image", async () => {
    await apply(single('replaced'));
    await runs('replaced', 1);
    const current = await k.run('get', 'pod', 'replaced', '-o', 'json');
    expect(await k.feed(current.replaceAll(image, 'k8s.test/busybox:2'), 'replace', '-f', '-')).toMatchObject({
      code: 0,
    });
    expect(await k.run('get', 'pod', 'replaced', '-o', 'jsonpath={.spec.containers[0].image}')).toBe(
      'k8s.test/busybox:2',
    );
    await k.run('delete', 'pod', 'replaced', '--grace-period=0', '--force');
  }, 90_000);

  test('Kubectl client Kubectl server-side dry-run should check if kubectl can dry-run update Pods', async () => {
    await apply(single('tried'));
    await k.run(
      'patch',
      'pod',
      'tried',
      '-p',
      `{"spec":{"containers":[{"name":"main","image":"k8s.test/x:9"}]}}`,
      '--dry-run=server',
    );
    expect(await k.run('get', 'pod', 'tried', '-o', 'jsonpath={.spec.containers[0].image}')).toBe(image);
    await k.run('delete', 'pod', 'tried', '--grace-period=0', '--force');
  }, 60_000);

  test('Kubectl client Kubectl run pod should create a pod from an image when restart is Never', async () => {
    await k.run('run', 'once', '--restart=Never', `--image=${image}`);
    const fields = 'jsonpath={.spec.containers[0].image} {.spec.restartPolicy}';
    expect(await k.run('get', 'pod', 'once', '-o', fields)).toBe(`${image} Never`);
    await k.run('delete', 'pod', 'once', '--grace-period=0', '--force');
  }, 60_000);

  test('Kubectl client Proxy server should support proxy with --port 0', async () => {
    const proxy = k.start('proxy', '--port=0');
    try {
      const port = await eventually(() => {
        const found = /127\.0\.0\.1:(\d+)/.exec(proxy.output());
        expect(found).not.toBeNull();
        return Number(found![1]);
      }, 20_000);
      expect(JSON.parse(await asked({ port }))).toMatchObject({ kind: 'APIVersions', versions: ['v1'] });
    } finally {
      proxy.kill();
      await once(proxy, 'exit');
    }
  }, 40_000);

  test('Kubectl client Proxy server should support --unix-socket=/path', async () => {
    const socketPath = join(cluster.dir, 'proxy.sock');
    const proxy = k.start('proxy', `--unix-socket=${socketPath}`);
    try {
      const text = await eventually(() => asked({ socketPath }), 20_000);
      expect(JSON.parse(text)).toMatchObject({ kind: 'APIVersions' });
    } finally {
      proxy.kill();
      await once(proxy, 'exit');
    }
  }, 40_000);
});
