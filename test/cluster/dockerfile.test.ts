import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync, existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { build } from '../../lib/build.ts';
import { type Dockerd, dockerIsHere, startDockerd } from '../executor/dockerd.ts';
import { testDirectory } from './harness.ts';

const describeHere = dockerIsHere && process.getuid?.() === 0 ? describe : describe.skip;
const run = (program: string, ...args: string[]): string =>
  // The old builder is in every Docker, the new one where it was installed besides.
  execFileSync(program, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 2 ** 26,
    env: { ...process.env, DOCKER_BUILDKIT: '0' },
  });

/** What a Debian has that Node runs on: the libraries it is linked to, a shell, certificates. */
function putSystem(root: string): void {
  const libraries = [...run('ldd', process.execPath).matchAll(/(\/\S+) \(0x/g)].map(([, path = '']) => path);
  for (const library of libraries) put(root, library, library);
  put(root, '/bin/busybox', '/bin/busybox');
  for (const name of ['sh', 'env', 'cat']) symlinkSync('/bin/busybox', join(root, 'bin', name));
  mkdirSync(join(root, 'usr/bin'), { recursive: true });
  symlinkSync('/bin/busybox', join(root, 'usr/bin/env'));
  for (const folder of ['tmp', 'root']) mkdirSync(join(root, folder));
  const certificates = '/etc/ssl/certs/ca-certificates.crt';
  if (existsSync(certificates)) put(root, certificates, certificates);
}

/** A shell, and none of the libraries that Node is linked to. */
function putShell(root: string): void {
  put(root, '/bin/busybox', '/bin/busybox');
  symlinkSync('/bin/busybox', join(root, 'bin/sh'));
}

/** Node, and npm that asks whom it asks on this machine. */
function putNode(root: string): void {
  put(root, process.execPath, '/usr/local/bin/node');
  const npm = dirname(dirname(realpathSync(run('which', 'npm').trim())));
  put(root, npm, '/usr/local/lib/node_modules/npm');
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(root, 'usr/local/bin/npm'));
  const config = (name: string) => run('npm', 'config', 'get', name).trim();
  const own = config('userconfig');
  const settings = existsSync(own) ? readFileSync(own, 'utf8') : '';
  writeFileSync(join(root, 'root/.npmrc'), `${settings}\nregistry=${config('registry')}\n`);
}

function put(root: string, from: string, to: string): void {
  mkdirSync(dirname(join(root, to)), { recursive: true });
  cpSync(from, join(root, to), { recursive: true, dereference: true });
}

describeHere('the Dockerfile', () => {
  const directory = testDirectory();
  let dockerd: Dockerd;
  const docker = (...args: string[]) => run('docker', '--host', dockerd.host, ...args);

  /** An image of what `fill` puts there: registries of images are not asked. */
  async function makeImage(name: string, ...fill: ((root: string) => void)[]): Promise<void> {
    const root = join(directory, name);
    for (const put of fill) put(root);
    const trusted = 'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt';
    const tar = spawn('tar', ['-C', root, '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const load = spawn('docker', ['--host', dockerd.host, 'import', '--change', trusted, '-', `k8s.test/${name}`], {
      stdio: [tar.stdout, 'ignore', 'inherit'],
    });
    expect(await new Promise((resolve) => load.once('exit', resolve))).toBe(0);
  }

  /** As docker-compose.yml has it built; on the network of this machine, proxies of the environment included. */
  function make(target: string, agent = 'agent'): void {
    const proxies = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'].flatMap((name) => ['--build-arg', name]);
    const images = ['NODE_IMAGE=k8s.test/node', `MESOS_AGENT_IMAGE=k8s.test/${agent}`];
    const args = [...proxies, ...images.flatMap((image) => ['--build-arg', image]), '--network', 'host'];
    docker('build', ...args, '--target', target, '--tag', `k8s.test/built-${target}`, '.');
  }

  beforeAll(async () => {
    dockerd = await startDockerd(12);
    await makeImage('node', putSystem, putNode);
    await makeImage('agent', putSystem);
    make('km');
    make('agent');
  }, 180_000);
  afterAll(async () => {
    await dockerd?.stop();
    rmSync(directory, { recursive: true, force: true });
  }, 60_000);

  const inside = (target: string, ...args: string[]) =>
    docker('run', '--rm', '--network', 'none', `k8s.test/built-${target}`, ...args);

  test('makes an image that is km', () => {
    expect(inside('km', '--version')).toContain(`km ${build.version} `);
    expect(inside('km', 'apiserver', '--help')).toContain('--etcd-servers');
    const script = 'km pki init --dir /tmp/pki --server https://localhost:6443 && km pki check --dir /tmp/pki';
    const km = 'km() { node /opt/km/cli/km.ts "$@"; }';
    const made = docker('run', '--rm', '--entrypoint', 'sh', 'k8s.test/built-km', '-c', `${km}; ${script}`);
    expect(made).toMatch(/^made in .*: ca, front-proxy-ca[^]*^dns +364 days/m);
  }, 60_000);

  test('makes an agent image that starts an executor as docker-compose.yml says', () => {
    const command = /KM_EXECUTOR_COMMAND: exec (\S+ \S+ executor) /.exec(
      readFileSync('docker-compose.yml', 'utf8'),
    )?.[1];
    expect(inside('agent', 'sh', '-c', `exec ${command} --help`)).toContain('--runtime');
  }, 60_000);

  test('ends, and says what to name, where Node does not start in the image of the agent', async () => {
    await makeImage('old', putShell);
    const printed = (() => {
      try {
        make('agent', 'old');
        return '';
      } catch (error) {
        return String((error as { stdout: string }).stdout);
      }
    })();
    expect(printed).toContain('name an image with a newer one by MESOS_AGENT_IMAGE');
    // Of the step that ran, after its colour, not of its text in the Dockerfile.
    expect(printed).toMatch(/(^|m)Node does not start here/m);
  }, 60_000);

  test('leaves out what no server needs', () => {
    const has = (path: string) => inside('agent', 'sh', '-c', `[ -e /opt/km/${path} ] && echo yes || echo no`).trim();
    for (const path of ['test', 'bench', '.git', 'node_modules/typescript'])
      expect([path, has(path)]).toEqual([path, 'no']);
    for (const path of ['cli/km.ts', 'node_modules/undici']) expect([path, has(path)]).toEqual([path, 'yes']);
  }, 60_000);
});
