import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Agent, request } from 'undici';
import type { Node } from '../../api/kinds/node.ts';
import type { KubeList, Stored } from '../../api/meta.ts';
import { Client } from '../../client/client.ts';
import { readKubeconfig } from '../../client/kubeconfig.ts';
import { km } from '../cli/run-km.ts';
import { eventually } from '../eventually.ts';
import { type TestCluster, startTestCluster } from './harness.ts';
import { lastingToken, listOf } from './manifests.ts';
import { Kubectl, newestKubectl } from './kubectl.ts';
import { executorsOf } from './processes.ts';

// The way of docs/operations.md, "Replacing the CA", with the servers of a cluster whose pods and executors go on all the while.

let cluster: TestCluster;
const inPki = (...path: string[]) => join(cluster.dir, 'pki', ...path);
/** What a user has who was given his kubeconfig before. */
const before = () => join(cluster.dir, 'before');
const kubectlOf = (kubeconfig: string) => new Kubectl(newestKubectl(), kubeconfig);

const asker = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'asker', namespace: 'default' },
  spec: {
    terminationGracePeriodSeconds: 1,
    containers: [{ name: 'main', image: 'k8s.test/busybox:1', command: ['sleep', '1000'] }],
  },
};
beforeAll(async () => {
  cluster = await startTestCluster();
  cpSync(inPki(), before(), { recursive: true });
  expect((await cluster.kubectl.feed(listOf(asker, lastingToken), 'apply', '-f', '-')).code).toBe(0);
  await cluster.kubectl.run('create', 'rolebinding', 'look', '--clusterrole=view', '--serviceaccount=default:default');
  await cluster.kubectl.run('wait', '--for=condition=Ready', 'pod/asker', '--timeout=60s');
}, 120_000);
afterAll(() => cluster?.stop(), 60_000);

/** What the page says is typed, step by step. */
const typed = [
  ...readFileSync('docs/operations.md', 'utf8').matchAll(/^km (pki rotate --dir \/etc\/km\/pki --step (\w+)) /gm),
].map(([, command = '', step = '']) => ({ command, step }));

async function take(command: string): Promise<void> {
  const words = command.split(' ').map((word) => (word === '/etc/km/pki' ? inPki() : word));
  expect(await km(words)).toMatchObject({ code: 0, stderr: '' });
  for (const name of ['apiserver', 'controller-manager', 'scheduler', 'proxy']) {
    const server = cluster.servers.get(name);
    const pid = server?.pid ?? 0;
    process.kill(pid);
    await eventually(() => expect([undefined, pid]).not.toContain(server?.pid));
    if (name === 'apiserver')
      await eventually(async () => expect((await admin().try('get', '--raw', '/readyz')).code).toBe(0), 30_000);
  }
}

const admin = () => kubectlOf(inPki('admin.kubeconfig'));

/** Everything that goes over TLS of the cluster's CA, with what was there before and with what is new. */
async function expectAllWell(step: string, executors: number[]): Promise<void> {
  const k = admin();
  const ca = readFileSync(inPki('ca.crt'), 'utf8');
  const published = (what: string, path: string) => k.run('get', ...what.split(' '), '-o', `jsonpath={${path}}`);
  await eventually(async () => {
    for (const namespace of ['default', 'kube-system'])
      expect(await published(`cm kube-root-ca.crt -n ${namespace}`, '.data.ca\\.crt')).toBe(ca);
    const held = await published('secret lasting', '.data.ca\\.crt');
    expect(Buffer.from(held, 'base64').toString()).toBe(ca);
  }, 30_000);
  // By the kubelet of a running pod, which asks the apiserver with what lies beside its token by now.
  const { server } = readKubeconfig(cluster.kubeconfig);
  const inside = '/var/run/secrets/kubernetes.io/serviceaccount';
  const script = `cd ${inside} && cat ca.crt >&2 && curl -s --cacert ca.crt -H "Authorization: Bearer $(cat token)" ${server}/api/v1/namespaces/default/pods`;
  await eventually(async () => {
    const { stdout, stderr } = await k.try('exec', 'asker', '--', 'sh', '-c', script);
    expect(stderr).toContain(ca);
    expect(JSON.parse(stdout)).toMatchObject({ kind: 'PodList' });
  }, 30_000);
  await eventually(() => expect(saidByExecutors()).toContain('known by another CA'));
  // Scheduled, launched and told of by whoever was started again, and by executors that were not.
  await k.run('run', `after-${step}`, '--image=k8s.test/busybox:1', '--restart=Never', '--command', '--', 'true');
  await k.run('wait', '--for=jsonpath={.status.phase}=Succeeded', `pod/after-${step}`, '--timeout=40s');
  await k.run('wait', '--for=condition=Ready', 'node', '--all', '--timeout=10s');
  expect(executorsOf(cluster).map(({ pid }) => pid)).toEqual(expect.arrayContaining(executors));
}

const saidByExecutors = () =>
  executorsOf(cluster)
    .map(({ pid }) => readFileSync(`/proc/${pid}/fd/1`, 'utf8'))
    .join('');

/** What a kubelet answers to a certificate of the directory. */
async function kubeletAnswers(directory: string): Promise<number> {
  const nodes = JSON.parse(await admin().run('get', 'nodes', '-o', 'json')) as KubeList<Node & Stored>;
  const running = nodes.items.find(({ status }) => status?.daemonEndpoints?.kubeletEndpoint);
  const { kubeletEndpoint } = running?.status?.daemonEndpoints ?? {};
  const [cert, key] = ['crt', 'key'].map((kind) => readFileSync(join(directory, `kubelet-client.${kind}`), 'utf8'));
  const agent = new Agent({ connect: { cert: cert!, key: key!, rejectUnauthorized: false } });
  const { statusCode, body } = await request(`https://127.0.0.1:${kubeletEndpoint?.Port}/pods`, { dispatcher: agent });
  await body.dump();
  await agent.close();
  return statusCode;
}

/** Asks again and again, each time as kubectl would with that kubeconfig; what was answered or went wrong, servers that are away aside. */
function asking(kubeconfig: string): { stop: () => Promise<string[]> } {
  const stopping = new AbortController();
  const heard = new Set<string>();
  const loop = async () => {
    while (!stopping.signal.aborted) {
      const client = new Client(readKubeconfig(kubeconfig));
      await client.raw('GET', '/api/v1/namespaces/default').then(
        () => heard.add('answered'),
        (error: NodeJS.ErrnoException) => heard.add(error.code ? String(error.code) : error.message),
      );
      await client.close();
      await sleep(100);
    }
  };
  const done = loop();
  const away = ['ECONNREFUSED', 'ECONNRESET', 'UND_ERR_SOCKET', '503', '429'];
  return {
    stop: async () => {
      stopping.abort();
      await done;
      return [...heard].filter((one) => !away.includes(one));
    },
  };
}

test('a CA is replaced while clients, pods and executors go on', async () => {
  expect(typed.map(({ step }) => step)).toEqual(['trust', 'renew', 'drop']);
  const executors = executorsOf(cluster).map(({ pid }) => pid);
  expect(executors.length).toBeGreaterThan(0);
  const [trust, renew, drop] = typed;

  const untold = asking(cluster.kubeconfig);
  const told = asking(inPki('admin.kubeconfig'));
  await take(trust!.command);
  await expectAllWell('trust', executors);
  // Nobody is told yet, and nothing is different for those who know the old one alone.
  expect(await untold.stop()).toEqual(['answered']);
  cpSync(inPki(), join(cluster.dir, 'trusting'), { recursive: true });

  const trusting = asking(join(cluster.dir, 'trusting/admin.kubeconfig'));
  await take(renew!.command);
  await expectAllWell('renew', executors);
  expect(await trusting.stop()).toEqual(['answered']);
  expect([await kubeletAnswers(before()), await kubeletAnswers(inPki())]).toEqual([200, 200]);

  await take(drop!.command);
  await expectAllWell('drop', executors);
  expect(await told.stop()).toEqual(['answered']);

  // The old one is worth nothing any more, on either side.
  expect((await cluster.kubectl.try('get', 'pods')).stderr).toMatch(/certificate signed by unknown authority/);
  const { server, cert, key } = readKubeconfig(cluster.kubeconfig);
  const old = new Client({ server, ca: readFileSync(inPki('ca.crt'), 'utf8'), cert, key });
  await expect(old.raw('GET', '/api/v1/namespaces/default')).rejects.toMatchObject({ code: 401 });
  await old.close();
  // An executor hears of it when its watch is there again after the apiserver's restart.
  await eventually(async () => expect(await kubeletAnswers(before())).toBe(401), 30_000);
  expect(await kubeletAnswers(inPki())).toBe(200);
}, 240_000);
