import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readKubeconfig } from '../../client/kubeconfig.ts';
import { holders } from '../../cli/pki/pki.ts';
import { freePort } from '../../cli/ports.ts';
import { Supervised } from '../../cli/supervisor.ts';
import { createAuthority, issue } from '../../lib/certs.ts';
import { Kubectl, newestKubectl } from '../cluster/kubectl.ts';
import { km, program } from './run-km.ts';

const folder = mkdtempSync(join(tmpdir(), 'km-pki-'));
const pki = join(folder, 'pki');
const file = (name: string, directory = pki): string => join(directory, name);
const text = (name: string, directory = pki): string => readFileSync(file(name, directory), 'utf8');
const day = 86_400_000;
let server = '';
let copies = 0;

/** The same files, to spoil. */
function copy(): string {
  const directory = join(folder, `copy-${copies++}`);
  cpSync(pki, directory, { recursive: true });
  return directory;
}

beforeAll(async () => {
  server = `https://127.0.0.1:${await freePort()}`;
  const made = await km(['pki', 'init', '--dir', pki, '--server', server, '--hosts', 'km.example,192.0.2.5']);
  expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^made in .*: ca, front-proxy-ca, apiserver/) });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('km pki init', () => {
  test('makes files that only their owner reads, and certificates that openssl verifies', () => {
    for (const name of readdirSync(pki)) expect([name, statSync(file(name)).mode & 0o777]).toEqual([name, 0o600]);
    for (const [name, { by }] of Object.entries(holders))
      execFileSync('openssl', ['verify', '-CAfile', file(`${by}.crt`), file(`${name}.crt`)], { stdio: 'pipe' });
    const { subjectAltName } = new X509Certificate(text('apiserver.crt'));
    for (const host of ['DNS:km.example', 'IP Address:192.0.2.5', 'IP Address:10.96.0.1', 'DNS:kubernetes.default.svc'])
      expect(subjectAltName).toContain(host);
  });

  test('again, it changes nothing; other names change the certificate that serves', async () => {
    const directory = copy();
    const same = await km(['pki', 'init', '--dir', directory, '--server', server]);
    expect(same.stdout).toContain('nothing had to be made');
    for (const name of readdirSync(pki)) expect(text(name, directory)).toBe(text(name));
    const other = await km(['pki', 'init', '--dir', directory, '--server', server, '--hosts', 'other.example']);
    expect(other.stdout).toMatch(/^made in .*: apiserver$/m);
  });

  test('never replaces a CA, also not one that runs out or lost its half', async () => {
    const directory = copy();
    unlinkSync(file('ca.key', directory));
    for (const verb of [['init', '--server', server], ['renew'], ['check']]) {
      const { code, stderr } = await km(['pki', ...verb, '--dir', directory]);
      expect(code).toBe(1);
      expect(stderr).toContain('are not the two halves of one CA, and a CA is never replaced');
    }
    expect(text('ca.crt', directory)).toBe(text('ca.crt'));
    const old = await createAuthority('old', Date.now() - 3645 * day);
    writeFileSync(file('ca.crt', directory), old.cert);
    writeFileSync(file('ca.key', directory), old.key);
    expect((await km(['pki', 'init', '--dir', directory, '--server', server])).code).toBe(0);
    expect(text('ca.crt', directory)).toBe(old.cert);
    const { code, stdout } = await km(['pki', 'check', '--dir', directory]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^ca +[45] days {2}runs out soon; begin a new CA in time/m);
  });

  test.each([
    ['', 'expected the URL of the apiserver'],
    ['http://x', 'expected the URL of the apiserver'],
  ])('refuses the server %j', async (url, sentence) => {
    expect(await km(['pki', 'init', '--dir', join(folder, 'no'), '--server', url])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(sentence),
    });
  });
});

describe('km pki check and renew', () => {
  test('all in order: days left of each', async () => {
    const { code, stdout } = await km(['pki', 'check', '--dir', pki, '--output', 'json']);
    expect(code).toBe(0);
    const checked = JSON.parse(stdout) as { name: string; days: number; problem: string }[];
    expect(checked.map(({ name }) => name).sort()).toEqual(['ca', 'front-proxy-ca', ...Object.keys(holders)].sort());
    expect(checked.find(({ name }) => name === 'scheduler')).toMatchObject({ days: 364, problem: '' });
  });

  test('what runs out, is spoilt or missing is told, and renewed; the rest stays', async () => {
    const directory = copy();
    const ca = { cert: text('ca.crt'), key: text('ca.key') };
    const short = await issue(ca, { commonName: 'system:kube-scheduler' }, Date.now(), 5 * day);
    writeFileSync(file('scheduler.crt', directory), short.cert);
    writeFileSync(file('scheduler.key', directory), short.key);
    const over = await issue(ca, { commonName: 'system:kube-proxy' }, Date.now() - 2 * day, day);
    writeFileSync(file('proxy.crt', directory), over.cert);
    writeFileSync(file('proxy.key', directory), over.key);
    const foreign = await issue(await createAuthority('other'), { commonName: 'kubernetes-admin' });
    writeFileSync(file('admin.crt', directory), foreign.cert);
    writeFileSync(file('admin.key', directory), foreign.key);
    writeFileSync(file('apiserver.key', directory), short.key);
    unlinkSync(file('dns.crt', directory));
    const checked = await km(['pki', 'check', '--dir', directory]);
    expect(checked.code).toBe(1);
    expect(checked.stderr).toContain('not in order: apiserver, admin, scheduler, proxy, dns');
    for (const line of [
      /^scheduler +4 days {2}runs out soon; km pki renew --dir /m,
      /^proxy +-2 days {2}has run out/m,
      /^admin +364 days {2}another CA than ca signed it/m,
      /^apiserver +364 days {2}its key is missing or another's/m,
      /^dns .*is not there/m,
    ])
      expect(checked.stdout).toMatch(line);
    const { code, stdout } = await km(['pki', 'renew', '--dir', directory]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/: apiserver, admin, scheduler, proxy, dns$/m);
    expect((await km(['pki', 'check', '--dir', directory])).code).toBe(0);
    const san = (at: string) => new X509Certificate(text('apiserver.crt', at)).subjectAltName;
    expect(san(directory)).toBe(san(pki));
    expect(text('controller-manager.crt', directory)).toBe(text('controller-manager.crt'));
    expect(readKubeconfig(file('scheduler.kubeconfig', directory))).toMatchObject({
      server,
      cert: text('scheduler.crt', directory),
    });
  });

  test('there has to be a CA', async () => {
    for (const verb of ['renew', 'check'])
      expect(await km(['pki', verb, '--dir', join(folder, 'nothing')])).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('km pki init --dir'),
      });
  });
});

describe('km kubeconfig', () => {
  test('refuses to overwrite a file, and needs a user, a server and a CA', async () => {
    const out = join(folder, 'there');
    writeFileSync(out, 'mine');
    const flags = ['kubeconfig', '--dir', pki, '--server', server, '--user', 'jane'];
    expect((await km([...flags, '--out', out])).stderr).toContain('is there already');
    expect(readFileSync(out, 'utf8')).toBe('mine');
    expect((await km(['kubeconfig', '--dir', pki, '--server', server])).stderr).toContain('--user is missing');
    expect((await km([...flags, '--server', 'x'])).stderr).toContain('--server: expected');
    expect((await km([...flags, '--dir', folder])).stderr).toContain('there is no CA in');
  });

  test('writes to standard output, with groups and a lifetime', async () => {
    const flags = ['--dir', pki, '--server', server, '--user', 'jane', '--groups', 'a,b', '--lifetime', '2d'];
    const { stdout } = await km(['kubeconfig', ...flags]);
    const out = join(folder, 'jane');
    writeFileSync(out, stdout);
    const certificate = new X509Certificate(readKubeconfig(out).cert!);
    expect(certificate.subject).toBe('O=a\nO=b\nCN=jane');
    expect(Math.round((certificate.validToDate.getTime() - Date.now()) / day)).toBe(2);
  });
});

test('servers of km work with what was made, each with the rights it needs and no more', async () => {
  const run = (name: string, args: readonly string[]) =>
    new Supervised(
      { name, command: process.execPath, args: [program, name, ...args], logFile: join(folder, name) },
      () => {},
    );
  const apiserver = run('apiserver', [
    ...[
      '--port',
      new URL(server).port,
      '--tls-cert-file',
      file('apiserver.crt'),
      '--tls-key-file',
      file('apiserver.key'),
    ],
    ...['--client-ca-file', file('ca.crt'), '--token-auth-file', file('tokens.csv')],
  ]);
  const dns = run('dns', ['--kubeconfig', file('dns.kubeconfig'), '--port', '0']);
  const kubectl = (kubeconfig: string) => new Kubectl(newestKubectl(), kubeconfig);
  const can = async (name: string, ...what: string[]) =>
    (await kubectl(file(`${name}.kubeconfig`)).try('auth', 'can-i', ...what)).stdout.trim();
  try {
    await apiserver.start(AbortSignal.timeout(30_000));
    await dns.start(AbortSignal.timeout(30_000));
    expect(await can('admin', '*', '*')).toBe('yes');
    expect(await can('scheduler', 'create', 'pods', '--subresource=binding')).toBe('yes');
    expect(await can('controller-manager', 'delete', 'pods')).toBe('yes');
    expect(await can('proxy', 'watch', 'endpointslices.discovery.k8s.io')).toBe('yes');
    for (const name of ['scheduler', 'proxy', 'dns']) expect(await can(name, 'get', 'secrets', '-A')).toBe('no');
    const jane = join(folder, 'jane.kubeconfig');
    await km(['kubeconfig', '--dir', pki, '--server', server, '--user', 'jane', '--groups', 'devs', '--out', jane]);
    expect((await kubectl(jane).try('get', 'pods')).stderr).toContain('User "jane" cannot list resource "pods"');
    await kubectl(file('admin.kubeconfig')).run('create', 'rolebinding', 'devs', '--clusterrole=view', '--group=devs');
    expect((await kubectl(jane).try('get', 'pods')).code).toBe(0);
  } finally {
    await dns.stop();
    await apiserver.stop();
  }
});
