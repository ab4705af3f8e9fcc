import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { km } from './run-km.ts';

const folder = mkdtempSync(join(tmpdir(), 'km-cli-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A kubeconfig of an apiserver that nobody is, for a user. */
function kubeconfig(user: Record<string, string>): string {
  const config = {
    clusters: [{ name: 'c', cluster: { server: 'https://127.0.0.1:1' } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'me', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'me',
  };
  const path = join(folder, 'kubeconfig');
  writeFileSync(path, JSON.stringify(config));
  return path;
}

const mine = { 'client-certificate': '/nowhere/me.crt', 'client-key': '/nowhere/me.crt' };

const servers = [
  'up',
  'apiserver',
  'controller-manager',
  'scheduler',
  'executor',
  'dns',
  'proxy',
  'devcluster',
  'preflight',
];

describe('km', () => {
  test('--help lists every server', async () => {
    const { code, stdout } = await km(['--help']);
    expect(code).toBe(0);
    for (const server of servers) expect(stdout).toMatch(new RegExp(`^  ${server} `, 'm'));
  });

  test.each(servers)('%s --help lists its options with their defaults', async (server) => {
    const { code, stdout } = await km([server, '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ {2}--log-level <name> .*\[info\]$/m);
  });

  test('a wrong command, option or value is named in a sentence, and ends with 1', async () => {
    expect(await km(['fly'])).toMatchObject({ code: 1, stderr: expect.stringContaining('there is no command "fly"') });
    expect(await km(['apiserver', '--prot', '1'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('unknown option --prot'),
    });
    expect(await km(['apiserver', '--port', 'x'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('--port: expected a number'),
    });
  });

  test('compiled code is kept in the cache directory of its user, and nowhere when there is none', async () => {
    const kept = join(folder, 'home/.cache/km');
    mkdirSync(join(folder, 'home'));
    const env = { HOME: undefined, XDG_CACHE_HOME: undefined, NODE_COMPILE_CACHE: undefined, TMPDIR: folder };
    await km(['apiserver', '--help'], { env });
    expect(existsSync(join(folder, 'node-compile-cache'))).toBe(false);
    await km(['apiserver', '--help'], { env: { ...env, HOME: join(folder, 'home') } });
    expect(readdirSync(kept)).toEqual([expect.stringContaining(process.version)]);
  });

  test('version says which km it is, and of which commit in a clone', async () => {
    const { stdout } = await km(['version']);
    expect(stdout).toMatch(/^km \d+\.\d+\.\d+( [0-9a-f]{40})? \(Kubernetes v1\.36, Mesos v1 API\)$/m);
    // A worktree keeps its .git elsewhere.
    const isClone = existsSync('.git') && statSync('.git').isDirectory();
    const commit = isClone ? execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8' }).trim() : 'km';
    expect(stdout).toContain(commit);
  });

  test('what follows -- is for commands that take command lines', async () => {
    expect(await km(['dns', '--', 'up'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('unexpected argument "--"'),
    });
  });

  test('reads the environment twin of a flag', async () => {
    const { code, stderr } = await km(['apiserver'], { env: { KM_PORT: 'x' } });
    expect(code).toBe(1);
    expect(stderr).toContain('KM_PORT: expected a number from 0 to 65535');
  });

  test.each(['apiserver', 'km-scheduler'])('called through a symlink named %s runs that server', async (name) => {
    const link = join(folder, name);
    symlinkSync(join(process.cwd(), 'cli/km.ts'), link);
    const { code, stdout } = await km(['--help'], { script: link });
    expect(code).toBe(0);
    expect(stdout).toContain(`km ${name.replace('km-', '')}:`);
  });

  test.each([
    ['apiserver', '--tls-cert-file', '/nowhere/tls.crt', 'cannot open the file /nowhere/tls.crt: there is none'],
    ['apiserver', '--token-auth-file', '/nowhere/tokens', 'cannot open the file /nowhere/tokens: there is none'],
    ['apiserver', '--etcd-password-file', '/nowhere/password', 'cannot open the file /nowhere/password: there is none'],
    ['proxy', '--kubeconfig', kubeconfig(mine), 'cannot open the file /nowhere/me.crt: there is none'],
    ['dns', '--kubeconfig', '/dev/null', 'kubeconfig /dev/null has no context'],
  ])('credentials that cannot be read end km %s %s %s with a sentence and 1', async (server, flag, value, sentence) => {
    const tls = flag === '--tls-cert-file' ? ['--tls-key-file', value] : [];
    const etcd = flag === '--etcd-password-file' ? ['--etcd-servers', 'http://127.0.0.1:1'] : [];
    const { code, stderr } = await km([server, flag, value, ...tls, ...etcd]);
    expect([code, stderr.split('\n').find((line) => line.startsWith('km: '))]).toEqual([
      1,
      expect.stringContaining(sentence),
    ]);
  });

  test.each([
    [['--mesos-master', 'zk://km:s3cret@zk1:2181/mesos'], '--mesos-master'],
    [['--mesos-master=zk://km:s3cret@zk1:2181/mesos'], '--mesos-master'],
    [['--executor-token', 's3cret'], '--executor-token'],
    [['--mesos-master', 'zk://zk1:2181/mesos'], undefined],
  ])('of a secret in %j it warns, without saying it', async (args, flag) => {
    const { stdout, stderr } = await km(['scheduler', ...args]);
    const warned = stdout.split('\n').filter((line) => line.includes('a secret among the arguments'));
    expect(warned).toEqual(flag ? [expect.stringContaining(`"flag":"${flag}"`)] : []);
    expect(`${stdout}${stderr}`).not.toContain('s3cret');
  });

  test('a server without what it needs says what to do', async () => {
    expect(await km(['scheduler'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('--kubeconfig is missing'),
    });
    expect(await km(['apiserver'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('set --tls-cert-file and --tls-key-file'),
    });
    expect(await km(['controller-manager', '--kubeconfig', '/nowhere'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('cannot read the kubeconfig /nowhere'),
    });
  });

  test.each([
    ['--executor-archive', '/nowhere/km-1.0.0-linux-x64.tar.gz', /--executor-archive: ENOENT.*npm run build makes one/],
    ['--settings-file', '/nowhere/settings', /settings in \/nowhere\/settings: ENOENT/],
    ['--config', '/nowhere/profiles', /\/nowhere\/profiles/],
  ])('a scheduler says at its start, not when it leads, that %s is not to be had', async (flag, path, words) => {
    expect(
      await km(['scheduler', '--kubeconfig', kubeconfig({ token: 't' }), '--port', '0', flag, path]),
    ).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(words),
    });
  });
});
