import { execFileSync, spawnSync } from 'node:child_process';
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

  test('gives executors a token that only joins, and leaves one that is a node itself until its line is changed', async () => {
    const directory = copy();
    const line = () => text('tokens.csv', directory).split('\n')[0];
    const token = text('executor-token', directory).trim();
    const joins = `${token},system:bootstrap:executor,executor,"system:bootstrappers"`;
    expect(line()).toBe(joins);
    const old = joins.replace('bootstrappers', 'nodes');
    const again = async (wanted: string) => {
      writeFileSync(file('tokens.csv', directory), `${wanted}\n`);
      expect((await km(['pki', 'init', '--dir', directory, '--server', server])).code).toBe(0);
      expect(line()).toBe(wanted);
    };
    await again(old);
    await again(joins);
  });

  test('replaces no CA, also not one that runs out or lost its half', async () => {
    const directory = copy();
    unlinkSync(file('ca.key', directory));
    for (const verb of [['init', '--server', server], ['renew'], ['check']]) {
      const { code, stderr } = await km(['pki', ...verb, '--dir', directory]);
      expect(code).toBe(1);
      expect(stderr).toContain('are not the two halves of one CA');
    }
    expect(text('ca.crt', directory)).toBe(text('ca.crt'));
    const old = await createAuthority('old', Date.now() - 3645 * day);
    writeFileSync(file('ca.crt', directory), old.cert);
    writeFileSync(file('ca.key', directory), old.key);
    expect((await km(['pki', 'init', '--dir', directory, '--server', server])).code).toBe(0);
    expect(text('ca.crt', directory)).toBe(old.cert);
    const { code, stdout } = await km(['pki', 'check', '--dir', directory]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^ca +[45] days {2}runs out soon; km pki rotate --dir .* --ca ca: replace it in time/m);
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

describe.each(['ca', 'front-proxy-ca'] as const)('km pki rotate --ca %s', (ca) => {
  const rotate = (directory: string, step = 'show') =>
    km(['pki', 'rotate', '--dir', directory, '--ca', ca, '--step', step]);
  const held = Object.entries(holders).flatMap(([name, { by }]) => (by === ca ? [name] : []));
  /** Whether whoever trusts what is in the one directory believes the certificates of the other. */
  const believes = (directory: string, other: string) =>
    held.map((name) => {
      const flags = ['verify', '-CAfile', file(`${ca}.crt`, directory), file(`${name}.crt`, other)];
      return spawnSync('openssl', flags, { stdio: 'ignore' }).status === 0;
    });
  const all = held.map(() => true);
  const none = held.map(() => false);
  const keys = (directory: string) => readdirSync(directory).filter((name) => name.startsWith(`${ca}`));

  test('trusts a new one beside the old one, then renews by it, then drops the old one', async () => {
    const directory = copy();
    expect((await rotate(directory)).stdout).toBe(`${ca}: it is not being replaced; --step trust begins to\n`);
    expect((await rotate(directory, 'trust')).stdout).toMatch(/go on with --step renew/);
    for (const name of held) expect(text(`${name}.crt`, directory)).toBe(text(`${name}.crt`));
    expect(believes(directory, pki)).toEqual(all);
    const trusting = join(folder, `trusting-${ca}`);
    cpSync(directory, trusting, { recursive: true });

    const renewed = await rotate(directory, 'renew');
    expect(renewed.stdout).toContain(`: ${ca}.crt, ${held.join(', ')}, kubeconfigs\n`);
    expect(renewed.stdout).toMatch(/end with --step drop/);
    expect([believes(directory, pki), believes(trusting, directory)]).toEqual([all, all]);
    expect(believes(pki, directory)).toEqual(none);
    expect((await km(['pki', 'check', '--dir', directory])).code).toBe(0);

    expect((await rotate(directory, 'drop')).code).toBe(0);
    expect([believes(directory, directory), believes(directory, pki)]).toEqual([all, none]);
    expect(keys(directory)).toEqual([`${ca}.crt`, `${ca}.key`]);
    expect(text(`${ca}.key`, directory)).not.toBe(text(`${ca}.key`));
    expect((await km(['pki', 'check', '--dir', directory])).code).toBe(0);
    const kubeconfig = readKubeconfig(file('scheduler.kubeconfig', directory));
    expect([kubeconfig.ca, kubeconfig.cert]).toEqual([text('ca.crt', directory), text('scheduler.crt', directory)]);
  }, 60_000);

  test('refuses a step before its time, and changes nothing', async () => {
    const directory = copy();
    const files = () => readdirSync(directory).map((name) => [name, text(name, directory)]);
    const refused = async (...steps: string[]) => {
      const before = files();
      for (const step of steps) {
        const { code, stderr } = await rotate(directory, step);
        expect([code, stderr]).toEqual([
          1,
          expect.stringContaining(`it is not the time for --step ${step} of ${ca}: `),
        ]);
      }
      expect(files()).toEqual(before);
    };
    await refused('renew', 'drop');
    await rotate(directory, 'trust');
    await refused('trust', 'drop');
    await rotate(directory, 'renew');
    await refused('trust', 'renew');
    for (const kind of ['crt', 'key']) writeFileSync(file(`${held[0]}.${kind}`, directory), text(`${held[0]}.${kind}`));
    const { code, stderr } = await rotate(directory, 'drop');
    expect([code, stderr]).toEqual([1, expect.stringContaining(`${held[0]} are not of the new CA yet: km pki renew`)]);
    await km(['pki', 'renew', '--dir', directory]);
    expect((await rotate(directory, 'drop')).code).toBe(0);
  }, 60_000);

  test('a step that was cut short is taken again', async () => {
    const directory = copy();
    // A key without its certificate is all that `trust` came to.
    writeFileSync(file(`${ca}-next.key`, directory), text('service-account.key'));
    expect((await rotate(directory, 'trust')).code).toBe(0);
    const next = text(`${ca}-next.key`, directory);
    // `renew` came to the certificates, not to the key.
    const [old = '', fresh = ''] = text(`${ca}.crt`, directory).split(/(?<=-----END CERTIFICATE-----\n)/);
    writeFileSync(file(`${ca}.crt`, directory), fresh + old);
    expect((await rotate(directory, 'renew')).code).toBe(0);
    expect(text(`${ca}.key`, directory)).toBe(next);
    expect(believes(directory, directory)).toEqual(all);
  }, 60_000);
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
