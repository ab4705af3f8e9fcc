import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Namespace } from '../../api/kinds/namespace.ts';
import { Client } from '../../client/client.ts';
import { execCredentials } from '../../client/exec-credential.ts';
import { defaultOptions, inCluster, readKubeconfig } from '../../client/kubeconfig.ts';
import { type TestServer, adminToken, startServer } from '../apiserver/harness.ts';

const version = 'client.authentication.k8s.io/v1';
const dir = mkdtempSync(join(tmpdir(), 'km-credentials-'));
const calls = join(dir, 'calls');
const answer = join(dir, 'answer');
const program = join(dir, 'credential.sh');
writeFileSync(program, `#!/bin/sh\necho "$1 $WHO $KUBERNETES_EXEC_INFO" >> ${calls}\ncat ${answer}\n`);
chmodSync(program, 0o755);

let server: TestServer;
beforeAll(async () => void (server = await startServer()));
afterAll(async () => {
  await server.stop();
  rmSync(dir, { recursive: true });
});
beforeEach(() => writeFileSync(calls, ''));

const say = (status: object) =>
  writeFileSync(answer, JSON.stringify({ apiVersion: version, kind: 'ExecCredential', status }));
const called = () => readFileSync(calls, 'utf8').trim().split('\n').filter(Boolean);

function kubeconfig(user: object): string {
  const path = join(dir, 'kubeconfig');
  const cluster = { server: server.url, 'certificate-authority-data': Buffer.from(server.ca.pem).toString('base64') };
  const config = {
    'current-context': 'c',
    contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
    clusters: [{ name: 'k', cluster }],
    users: [{ name: 'u', user }],
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}
const exec = {
  apiVersion: version,
  command: './credential.sh',
  args: ['hand-over'],
  env: [{ name: 'WHO', value: 'me' }],
  provideClusterInfo: true,
  interactiveMode: 'IfAvailable',
};

describe('a credential program of a kubeconfig', () => {
  test('is asked once for a token, which serves until it is refused', async () => {
    say({ token: 'wrong' });
    const client = new Client(readKubeconfig(kubeconfig({ exec })));
    await expect(client.list(Namespace)).rejects.toMatchObject({ code: 401 });
    say({ token: adminToken });
    await client.list(Namespace);
    await Promise.all([client.list(Namespace), client.list(Namespace)]);
    expect(called()).toHaveLength(2);
    const [, first = ''] = /^hand-over me (.*)$/.exec(called()[0] ?? '') ?? [];
    expect(JSON.parse(first)).toEqual({
      apiVersion: version,
      kind: 'ExecCredential',
      spec: {
        interactive: false,
        cluster: { server: server.url, 'certificate-authority-data': Buffer.from(server.ca.pem).toString('base64') },
      },
    });
    await client.close();
  });

  test('gives a certificate, and another one for new connections', async () => {
    const as = async (name: string) => {
      const { cert, key } = await server.ca.issue(name, 'system:masters');
      say({ clientCertificateData: cert, clientKeyData: key, expirationTimestamp: '2020-01-01T00:00:00Z' });
    };
    const whoAmI = (client: Client) =>
      client
        .raw<{ status: { userInfo: { username: string } } }>(
          'POST',
          '/apis/authentication.k8s.io/v1/selfsubjectreviews',
          {
            apiVersion: 'authentication.k8s.io/v1',
            kind: 'SelfSubjectReview',
          },
        )
        .then(({ status }) => status.userInfo.username);
    const client = new Client(readKubeconfig(kubeconfig({ exec })));
    await as('anna');
    expect(await whoAmI(client)).toBe('anna');
    // One that is none is told each time, and costs no more than the requests it was for.
    say({ clientCertificateData: 'nonsense', clientKeyData: 'nonsense', expirationTimestamp: '2020-01-01T00:00:00Z' });
    for (let i = 0; i < 2; i += 1) await expect(whoAmI(client)).rejects.toThrow(/PEM/i);
    await as('berta');
    expect(await whoAmI(client)).toBe('berta');
    await client.close();
  });

  test('is asked anew when its answer has run out', async () => {
    let now = 0;
    say({ token: 'a', expirationTimestamp: '1970-01-01T00:01:00Z' });
    const source = execCredentials({ ...exec, command: program }, { server: '' }, () => now);
    await source.get();
    now = 59_999;
    await source.get();
    expect(called()).toHaveLength(1);
    now = 60_000;
    await source.get();
    expect(called()).toHaveLength(2);
  });

  test.each([
    ['prints no JSON', 'nonsense', 'printed no JSON'],
    ['prints something else', '{"kind":"Pod"}', 'no ExecCredential'],
    [
      'prints nothing of use',
      JSON.stringify({ apiVersion: version, kind: 'ExecCredential', status: {} }),
      'neither a token',
    ],
  ])('that %s is told by its name', async (_, text, words) => {
    writeFileSync(answer, text);
    const source = execCredentials({ ...exec, command: program }, { server: '' });
    await expect(source.get()).rejects.toThrow(`the credential program ${program} `);
    await expect(source.get()).rejects.toThrow(words);
  });

  test('that fails or is missing says how, and is tried again', async () => {
    const missing = execCredentials({ ...exec, command: 'km-no-such', installHint: 'Get it.' }, { server: '' });
    await expect(missing.get()).rejects.toThrow('km-no-such failed: it is not installed. Get it.');
    const failing = execCredentials(
      { apiVersion: version, command: 'sh', args: ['-c', 'echo no key >&2; exit 3'] },
      { server: '' },
    );
    await expect(failing.get()).rejects.toThrow('failed: no key');
    expect(() => execCredentials({ apiVersion: 'v9', command: 'x' }, { server: '' })).toThrow('speaks v9');
  });
});

describe('who we are, unless told', () => {
  const home = join(dir, 'home');

  test('is what KUBECONFIG, the pod, or the home directory says', () => {
    const path = kubeconfig({ token: 't' });
    expect(defaultOptions({ KUBECONFIG: ['/nowhere', path].join(delimiter) })).toMatchObject({ token: 't' });
    expect(() => defaultOptions({ KUBECONFIG: '/nowhere' })).toThrow('KUBECONFIG names no file that exists: /nowhere');
    expect(() => defaultOptions({ HOME: home })).toThrow(`there is no ${home}/.kube/config`);
    mkdirSync(join(home, '.kube'), { recursive: true });
    writeFileSync(join(home, '.kube/config'), readFileSync(path));
    expect(defaultOptions({ HOME: home })).toMatchObject({ server: server.url });
    expect(existsSync('/var/run/secrets/kubernetes.io/serviceaccount/token')).toBe(false);
  });

  test('is the ServiceAccount in a pod', () => {
    writeFileSync(join(dir, 'token'), 'x');
    writeFileSync(join(dir, 'ca.crt'), 'the CA');
    const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
    expect(inCluster(env, dir)).toEqual({
      server: 'https://[fd00::1]:443',
      ca: 'the CA',
      tokenFile: join(dir, 'token'),
    });
    expect(inCluster({}, dir)).toBeUndefined();
  });
});
