import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { freePort } from '../../cli/ports.ts';
import { Kubectl, newestKubectl } from './kubectl.ts';
import { eventually } from '../eventually.ts';

jest.setTimeout(240_000);

const folder = mkdtempSync(join(tmpdir(), 'km-build-'));
const out = join(folder, 'dist');
const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
  version: string;
  dependencies: Record<string, string>;
};
const name = `km-${manifest.version}`;
const machine = `${name}-${process.platform}-${process.arch}`;
const commit = execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8' }).trim();
const otherArch = process.arch === 'x64' ? 'arm64' : 'x64';
/** No Node on PATH. */
const bare = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: folder };
const km = join(folder, machine, 'bin/km');
const run = (program: string, args: readonly string[], options: { cwd?: string; env?: Record<string, string> } = {}) =>
  execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], ...options });

beforeAll(() => {
  mkdirSync(out);
  writeFileSync(join(out, 'mine'), 'stays');
  const flags = ['--arch', `${process.arch},${otherArch}`, '--compression', '1'];
  run(process.execPath, ['packaging/build.ts', '--out', out, ...flags]);
  run('tar', ['-xzf', join(out, `${machine}.tar.gz`), '-C', folder]);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the checksums are those of what was built', () => {
  expect(run('sha256sum', ['--check', 'SHA256SUMS'], { cwd: out }).match(/: OK$/gm)).toHaveLength(6);
  expect(readFileSync(join(out, 'mine'), 'utf8')).toBe('stays');
});

test('the npm package, installed, has a km that says its version and commit', () => {
  const project = join(folder, 'project');
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), '{}');
  const flags = ['--omit=optional', '--prefer-offline', '--no-audit', '--no-fund'];
  run('npm', ['install', ...flags, join(out, `${name}.tgz`)], { cwd: project });
  const installed = join(project, 'node_modules/.bin/km');
  expect(run(installed, ['version'])).toContain(`km ${manifest.version} ${commit} `);
  expect(run(installed, ['apiserver', '--help'])).toContain('--etcd-servers');
  const program =
    "import('km/client').then(({ Client }) => import('km/kinds/pod').then(({ Pod }) => console.log(typeof Client, Pod.plural)))";
  expect(run(process.execPath, ['-e', program], { cwd: project })).toBe('function pods\n');
  expect(existsSync(join(project, 'node_modules/km/client/index.d.ts'))).toBe(true);
  const sources = readdirSync(join(project, 'node_modules/km'), { recursive: true, encoding: 'utf8' });
  expect(sources.filter((file) => /^(test|bench|packaging)|(?<!\.d)\.ts$/.test(file))).toEqual([]);
});

test('the bill of materials names every package that km depends on', () => {
  const bom = JSON.parse(readFileSync(join(out, `${name}.sbom.cdx.json`), 'utf8')) as {
    metadata: { component: { name: string; version: string } };
    components: { name: string }[];
  };
  expect(bom.metadata.component).toMatchObject({ name: 'km', version: manifest.version });
  const names = bom.components.map((component) => component.name);
  expect(names).toEqual(expect.arrayContaining(Object.keys(manifest.dependencies)));
});

test('the archive for another processor has the same km, and the Node of that processor, and so has the single file', () => {
  const lists = [process.arch, otherArch].map((arch) =>
    run('tar', ['-tzf', join(out, `${name}-linux-${arch}.tar.gz`)]).replaceAll(`-linux-${arch}/`, '/'),
  );
  expect(lists[1]).toBe(lists[0]);
  // The field e_machine of ELF: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
  const machines = { x64: 62, arm64: 183 };
  const node = readFileSync(join(out, `${name}-linux-${otherArch}`, 'lib/node'));
  expect(node.readUInt16LE(18)).toBe(machines[otherArch]);
  const archive = readFileSync(join(out, `${name}-linux-${otherArch}.tar.gz`));
  expect(
    readFileSync(join(out, `${name}-linux-${otherArch}.run`))
      .subarray(-archive.length)
      .equals(archive),
  ).toBe(true);
});

describe('the single file', () => {
  const single = join(out, `${machine}.run`);
  const home = join(folder, 'home');
  const alone = { PATH: bare.PATH, HOME: home };
  beforeAll(() => void mkdirSync(home));
  const said = (file: string, env: Record<string, string>) => {
    try {
      return run(file, ['version'], { env });
    } catch (error) {
      const { status, stderr } = error as { status: number; stderr: string };
      return `${status} ${stderr}`;
    }
  };

  test('runs by whatever name it has, unpacks once, and takes the command of a symlink', () => {
    symlinkSync(single, join(folder, 'km'));
    symlinkSync(single, join(folder, 'km-apiserver'));
    expect(run(single, ['version'], { env: alone })).toContain(`km ${manifest.version} ${commit} `);
    const [unpacked, ...others] = readdirSync(join(home, '.cache/km')).filter((name) => name.includes(machine));
    expect([unpacked, others]).toEqual([expect.stringMatching(new RegExp(`^${machine}-[0-9a-f]{12}$`)), []]);
    const { ctimeMs } = statSync(join(home, '.cache/km', unpacked!, 'bin/km'));
    expect(run(join(folder, 'km'), ['apiserver', '--help'], { env: alone })).toContain('--etcd-servers');
    expect(run(join(folder, 'km-apiserver'), ['--help'], { env: alone })).toContain('km apiserver:');
    expect(statSync(join(home, '.cache/km', unpacked!, 'bin/km')).ctimeMs).toBe(ctimeMs);
  });

  test('says what is in its way: no place to unpack, a file that is not whole, a place of somebody else', () => {
    const half = join(folder, 'half');
    writeFileSync(half, readFileSync(single).subarray(0, 5_000_000), { mode: 0o755 });
    const elsewhere = join(folder, 'elsewhere');
    expect(said(half, { ...alone, KM_UNPACK_DIR: elsewhere })).toMatch(/^1 [^]*km: cannot unpack into .*not whole/);
    expect(readdirSync(elsewhere)).toEqual([]);
    expect(said(single, { ...alone, KM_UNPACK_DIR: '/dev/null/x' })).toMatch(/^1 [^]*set KM_UNPACK_DIR/);
    if (process.getuid?.() !== 0) return;
    const [unpacked = ''] = readdirSync(join(home, '.cache/km')).filter((name) => name.startsWith(machine));
    chownSync(join(home, '.cache/km', unpacked), 65_534, 65_534);
    expect(said(single, alone)).toMatch(/^1 km: .* belongs to somebody else: set KM_UNPACK_DIR/);
    chownSync(join(home, '.cache/km', unpacked), 0, 0);
  });

  test('starts the try-out, whose servers and executors are the same file', async () => {
    const dir = join(folder, 'up-alone');
    const flags = ['--port', '0', '--mesos-port', '0', '--store', 'embedded', '--proxy', 'none'];
    const up = spawn(single, ['up', '--dir', dir, ...flags], { env: alone, stdio: ['ignore', 'pipe', 'inherit'] });
    let told = '';
    up.stdout.on('data', (chunk: Buffer) => (told += chunk.toString()));
    try {
      await eventually(() => expect(told).toContain('Ready. Try:'), 60_000);
      const kubectl = new Kubectl(newestKubectl(), join(dir, 'kubeconfig'));
      const command = ['--image=none', '--restart=Never', '--command', '--', 'echo', 'hello'];
      await kubectl.run('run', 'hello', ...command);
      await eventually(async () => expect(await kubectl.run('logs', 'hello')).toBe('hello\n'), 90_000);
    } finally {
      up.kill();
      await once(up, 'exit');
    }
  });
});

describe('the archive', () => {
  test('brings its Node, and runs the command that a symlink is named after', () => {
    expect(run(km, ['version'], { env: bare })).toContain(`km ${manifest.version} ${commit} `);
    const link = join(folder, 'km-scheduler');
    symlinkSync(km, link);
    expect(run(link, ['--help'], { env: bare })).toContain('km scheduler:');
    expect(readFileSync(join(folder, machine, 'NOTICE'), 'utf8')).toContain(`Node.js ${process.version}`);
  });

  test('serves the API', async () => {
    const port = await freePort();
    const pki = join(folder, 'pki');
    run(km, ['pki', 'init', '--dir', pki, '--server', `https://127.0.0.1:${port}`], { env: bare });
    const tls = ['--tls-cert-file', `${pki}/apiserver.crt`, '--tls-key-file', `${pki}/apiserver.key`];
    const args = ['apiserver', '--port', String(port), ...tls, '--client-ca-file', `${pki}/ca.crt`];
    const server = spawn(km, args, { env: bare, stdio: 'ignore' });
    try {
      const kubectl = new Kubectl(newestKubectl(), join(pki, 'admin.kubeconfig'));
      await eventually(async () => expect((await kubectl.try('get', 'namespaces')).code).toBe(0), 30_000);
      const version = JSON.parse(await kubectl.run('get', '--raw', '/version')) as Record<string, string>;
      expect(version).toMatchObject({ gitCommit: commit, gitVersion: `v1.36.0+km.${manifest.version}` });
    } finally {
      server.kill();
      await once(server, 'exit');
    }
  });

  test('runs pods by executors that agents fetch', async () => {
    const dir = join(folder, 'up');
    const archive = {
      KM_EXECUTOR_ARCHIVE: join(out, `${machine}.tar.gz`),
      KM_EXECUTOR_ARCHIVE_PORT: '0',
      KM_EXECUTOR_ARCHIVE_ADDRESS: '127.0.0.1',
    };
    const up: ChildProcess = spawn(
      km,
      [
        ...['up', '--dir', dir, '--port', '0', '--mesos-port', '0', '--store', 'embedded', '--proxy', 'none'],
        ...['--executor-command', 'exec km executor'],
      ],
      { env: { ...bare, ...archive }, stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let said = '';
    up.stdout!.on('data', (chunk: Buffer) => (said += chunk.toString()));
    try {
      await eventually(() => expect(said).toContain('Ready. Try:'), 60_000);
      const kubectl = new Kubectl(newestKubectl(), join(dir, 'kubeconfig'));
      await kubectl.run(
        'run',
        'hello',
        '--image=busybox',
        '--restart=Never',
        '--command',
        '--',
        'sh',
        '-c',
        'echo hello from $HOSTNAME',
      );
      await eventually(async () => {
        const phase = await kubectl.run('get', 'pod', 'hello', '-o', 'jsonpath={.status.phase}');
        expect(phase).toBe('Succeeded');
      }, 90_000);
      expect(await kubectl.run('logs', 'hello')).toBe('hello from hello\n');
      // One asks for the size first, so that it keeps what it fetches for its next executor.
      const told = readFileSync(join(dir, 'logs/scheduler.log'), 'utf8').matchAll(/"method":"(\w+)".*fetches km/g);
      expect([...told].map(([, method]) => method)).toEqual(['HEAD', 'GET']);
    } finally {
      up.kill();
      await once(up, 'exit');
    }
  });

  test('has units for systemd and apps for Marathon, filled in', () => {
    const share = join(folder, machine, 'share');
    const files = readdirSync(share, { recursive: true, encoding: 'utf8' }).filter((file) => file.includes('.'));
    expect(files.length).toBeGreaterThan(8);
    for (const file of files) expect(readFileSync(join(share, file), 'utf8')).not.toContain('VERSION');
    expect(existsSync(join(folder, machine, 'docs/operations.md'))).toBe(true);
  });
});
