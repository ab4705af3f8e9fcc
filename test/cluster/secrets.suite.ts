import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { globSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, test } from '@jest/globals';
import { Agent, request } from 'undici';
import type { Node } from '../../api/kinds/node.ts';
import { Supervised } from '../../cli/supervisor.ts';
import { Client } from '../../client/client.ts';
import { readKubeconfig } from '../../client/kubeconfig.ts';
import { program } from '../cli/run-km.ts';
import { eventually } from '../eventually.ts';
import type { TestCluster } from './harness.ts';
import { leaksIn } from './leaks.ts';
import { lastingToken } from './manifests.ts';
import { executorsOf } from './processes.ts';

const made = (what: string): string => `${what}-${randomBytes(24).toString('base64url')}`;

const account = '/var/run/secrets/kubernetes.io/serviceaccount';
const holder = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'holder', namespace: 'default' },
  spec: {
    terminationGracePeriodSeconds: 1,
    volumes: [{ name: 'login', secret: { secretName: 'login' } }],
    containers: [
      {
        name: 'main',
        image: 'k8s.test/busybox:1',
        command: ['sleep', '1000'],
        volumeMounts: [{ name: 'login', mountPath: '/etc/login' }],
        env: [{ name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 'login', key: 'password' } } }],
      },
    ],
  },
};

/** What must be known to its owners alone: after it was used, no server has told it. */
export function describeSecrets(cluster: () => TestCluster): void {
  const secrets: Record<string, string> = {};
  const logs = () => globSync('logs/*.log', { cwd: cluster().dir }).map((file) => join(cluster().dir, file));
  /** What executors print lies in their sandboxes. */
  const sandboxes = () =>
    executorsOf(cluster()).flatMap(({ pid }) => {
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
      const sandbox = environment.find((pair) => pair.startsWith('MESOS_SANDBOX='))?.slice('MESOS_SANDBOX='.length);
      return ['stdout', 'stderr'].map((name) => join(sandbox ?? '', name));
    });

  test('Secrets, tokens and passwords are used, and wrong ones refused', async () => {
    const { kubectl: k, dir, kubeconfig } = cluster();
    for (const file of globSync('pki/{*.key,*-token}', { cwd: dir }))
      secrets[basename(file)] = readFileSync(join(dir, file), 'utf8').trim();

    secrets.password = made('password');
    secrets['changed password'] = made('changed');
    secrets['refused data'] = `${made('refused')}!`;
    const login = (password: string) => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'login', namespace: 'default' },
      stringData: { password },
    });
    for (const object of [login(secrets.password), lastingToken, holder])
      expect(await k.feed(JSON.stringify(object), 'apply', '-f', '-')).toMatchObject({ code: 0 });
    await k.run('wait', '--for=condition=Ready', 'pod/holder', '--timeout=30s');
    const seen = async (script: string) => (await k.run('exec', 'holder', '--', 'sh', '-c', script)).trim();
    expect(await seen('cat /etc/login/password; echo; echo $PASSWORD')).toBe(
      `${secrets.password}\n${secrets.password}`,
    );
    secrets['token of a pod'] = await seen(`cat ${account}/token`);
    await k.feed(JSON.stringify(login(secrets['changed password'])), 'apply', '-f', '-');
    await eventually(async () => expect(await seen('cat /etc/login/password')).toBe(secrets['changed password']));
    const refused = { ...login(''), stringData: undefined, data: { password: secrets['refused data'] } };
    expect((await k.feed(JSON.stringify(refused), 'replace', '-f', '-', '--validate=false')).code).toBe(1);
    secrets['lasting token'] = await eventually(async () => {
      const held = await k.run('get', 'secret', 'lasting', '-o', 'jsonpath={.data.token}');
      expect(held).not.toBe('');
      return Buffer.from(held, 'base64').toString();
    });

    secrets['token on request'] = (await k.run('create', 'token', 'default')).trim();
    secrets['wrong token'] = made('wrong');
    // Signed by nobody: what it claims is true.
    const claims = secrets['token on request'].split('.').slice(0, 2).join('.');
    secrets['forged token'] = `${claims}.${randomBytes(64).toString('base64url')}`;
    secrets['wrong password'] = made('basic');
    const { server, ca } = readKubeconfig(kubeconfig);
    const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview' };
    for (const [name, code] of [
      ['token on request', 403],
      ['lasting token', 403],
      ['token of a pod', 403],
      ['executor-token', 403],
      ['wrong token', 401],
      ['forged token', 401],
    ] as const) {
      const token = secrets[name];
      const client = new Client({ server, ca, token });
      await expect(client.raw('GET', '/api/v1/secrets')).rejects.toMatchObject({ code });
      await client.close();
      await cluster().client.raw('POST', '/apis/authentication.k8s.io/v1/tokenreviews', { ...review, spec: { token } });
    }

    const nodes = JSON.parse(await k.run('get', 'node', '-o', 'json')) as { items: Node[] };
    const { addresses = [], daemonEndpoints } =
      nodes.items.find(({ status }) => status?.daemonEndpoints?.kubeletEndpoint)?.status ?? {};
    const kubelet = `https://${addresses.find(({ type }) => type === 'InternalIP')?.address}:${daemonEndpoints?.kubeletEndpoint?.Port}/pods`;
    const anybody = new Agent({ connect: { rejectUnauthorized: false } });
    const basic = `Basic ${Buffer.from(`jane:${secrets['wrong password']}`).toString('base64')}`;
    for (const [url, authorization, code] of [
      [kubelet, `Bearer ${secrets['token on request']}`, 403],
      [kubelet, `Bearer ${secrets['wrong token']}`, 401],
      [kubelet, basic, 401],
      [`${server}/api/v1/secrets`, basic, 401],
    ] as const) {
      const answer = await request(url, { dispatcher: anybody, headers: { authorization } });
      await answer.body.dump();
      expect([url, answer.statusCode]).toEqual([url, code]);
    }
    await anybody.close();
  }, 90_000);

  test('the names of Services are asked of a server of names', async () => {
    const { dir } = cluster();
    const logFile = join(dir, 'logs/dns.log');
    const flags = ['--bind-address', '127.0.0.1', '--port', '0', '--log-level', 'debug'];
    const args = [program, 'dns', '--kubeconfig', join(dir, 'pki/dns.kubeconfig'), ...flags];
    const dns = new Supervised({ name: 'dns', command: process.execPath, args, logFile }, () => undefined);
    await dns.start(AbortSignal.timeout(30_000));
    await dns.stop();
    expect(readFileSync(logFile, 'utf8')).toContain('answering names');
  }, 60_000);

  test('nothing of it stands in the logs of the servers, nor among their arguments', () => {
    const files = [...logs(), ...sandboxes()];
    const names = ['apiserver', 'controller-manager', 'devcluster', 'dns', 'etcd', 'proxy', 'scheduler'];
    expect(logs().map((file) => basename(file, '.log'))).toEqual(names);
    // etcd says nothing while all is well.
    const silent = logs().filter((file) => statSync(file).size === 0);
    expect(silent.filter((file) => basename(file) !== 'etcd.log')).toEqual([]);
    expect(sandboxes().filter((file) => readFileSync(file, 'utf8').includes('"msg":'))).not.toEqual([]);
    expect(Object.keys(secrets).length).toBeGreaterThan(20);
    expect(leaksIn(files, secrets)).toEqual([]);
    const everybody = join(cluster().dir, 'arguments');
    writeFileSync(everybody, execFileSync('ps', ['-eo', 'args='], { encoding: 'utf8', maxBuffer: 2 ** 26 }));
    expect(leaksIn([everybody], secrets)).toEqual([]);
  });

  test('the search finds every one of them, however it is written', () => {
    const folder = join(cluster().dir, 'found');
    mkdirSync(folder);
    for (const [name, secret] of Object.entries(secrets)) {
      const written = [
        secret,
        JSON.stringify({ err: { message: `cannot read "${secret}"` } }),
        JSON.stringify(Buffer.from(secret)),
        `?access_token=${encodeURIComponent(secret)}`,
        ...['', 'a', 'ab'].flatMap((before) =>
          (['base64', 'base64url'] as const).map((as) => Buffer.from(`${before}${secret}:`).toString(as)),
        ),
      ];
      const file = join(folder, 'log');
      for (const text of written) {
        writeFileSync(file, `before ${text} after\n`);
        expect([name, text, leaksIn([file], secrets)]).toEqual([
          name,
          text,
          expect.arrayContaining([`${file}: ${name}`]),
        ]);
      }
    }
  });
}
