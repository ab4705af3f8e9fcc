import { expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { type TestCluster } from './harness.ts';
import { eventually } from '../eventually.ts';
import { Kubectl, newestKubectl } from './kubectl.ts';

/** Asks the apiserver as the pod's own account, with what lies in the pod. */
const asker = (server: string): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'asker', namespace: 'default' },
  spec: {
    restartPolicy: 'Never',
    containers: [
      {
        name: 'main',
        image: 'k8s.test/busybox:1',
        command: [
          'sh',
          '-c',
          `cd /var/run/secrets/kubernetes.io/serviceaccount && cat namespace && echo && curl -s --cacert ca.crt -H "Authorization: Bearer $(cat token)" ${server}/api/v1/namespaces/default/pods`,
        ],
      },
    ],
  },
});

/** What a pod may as its service account, and the parts of km as theirs. */
export function describeServiceAccounts(cluster: () => TestCluster): void {
  test('a pod finds a token in its file system, and is known and let by it', async () => {
    const k = new Kubectl(newestKubectl(), cluster().kubeconfig);
    await k.run('create', 'rolebinding', 'looker', '--clusterrole=view', '--serviceaccount=default:default');
    const server = (await k.run('config', 'view', '-o', 'jsonpath={.clusters[0].cluster.server}')).trim();
    expect((await k.feed(JSON.stringify(asker(server)), 'create', '-f', '-')).code).toBe(0);
    await eventually(async () => expect(await k.run('get', 'pod', 'asker')).toMatch(/Completed|Error/), 30_000);
    const said = await k.run('logs', 'asker');
    expect(said).toMatch(/^default\n/);
    expect(JSON.parse(said.slice('default\n'.length))).toMatchObject({
      kind: 'PodList',
      items: [{ metadata: { name: 'asker' } }],
    });
  }, 60_000);

  test('ServiceAccounts should mount projected service account token', async () => {
    const k = new Kubectl(newestKubectl(), cluster().kubeconfig);
    const serviceAccountToken = { path: 'token', expirationSeconds: 3600, audience: 'vault' };
    const mount = { name: 'token', mountPath: '/var/run/secrets/tokens' };
    const command = ['cat', '/var/run/secrets/tokens/token'];
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'projected' },
      spec: {
        restartPolicy: 'Never',
        volumes: [{ name: 'token', projected: { sources: [{ serviceAccountToken }] } }],
        containers: [{ name: 'main', image: 'k8s.test/busybox:1', command, volumeMounts: [mount] }],
      },
    };
    expect((await k.feed(JSON.stringify(pod), 'create', '-f', '-')).code).toBe(0);
    await eventually(async () => expect(await k.run('get', 'pod', 'projected')).toMatch(/Completed/), 30_000);
    const token = await k.run('logs', 'projected');
    const uid = await k.run('get', 'pod', 'projected', '-o', 'jsonpath={.metadata.uid}');
    const claims = decodeJwt(token);
    expect(claims).toMatchObject({
      sub: 'system:serviceaccount:default:default',
      aud: ['vault'],
      'kubernetes.io': { pod: { name: 'projected', uid } },
    });
    expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(3600);
  }, 60_000);

  test('the scheduler and the controllers are no masters', async () => {
    const k = new Kubectl(newestKubectl(), cluster().kubeconfig);
    const may = async (user: string, ...what: string[]) =>
      (await k.try('auth', 'can-i', ...what, '--as', user)).stdout.trim();
    const [scheduler, controllers] = ['system:kube-scheduler', 'system:kube-controller-manager'];
    expect(await may(scheduler, 'create', 'pods', '--subresource=binding')).toBe('yes');
    expect(await may(scheduler, 'get', 'secrets')).toBe('no');
    expect(await may(controllers, 'create', 'replicasets.apps')).toBe('yes');
    expect(await may(controllers, 'create', 'clusterrolebindings')).toBe('no');
  });
}
