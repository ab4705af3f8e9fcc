import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, expect, jest, test } from '@jest/globals';
import { freePort } from '../../cli/ports.ts';
import { Supervised } from '../../cli/supervisor.ts';
import { startEtcd } from '../apiserver/etcd-process.ts';
import { program } from '../cli/run-km.ts';
import { Kubectl, newestKubectl } from './kubectl.ts';
import { eventually } from '../eventually.ts';
import { webUiOf } from './web-ui.ts';

jest.setTimeout(180_000);

const folder = mkdtempSync(join(tmpdir(), 'km-install-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A km on PATH that is this one, and the same as what agents fetch. */
function kmOnPath(): { path: string; archive: string } {
  const bin = join(folder, 'km-here/bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, 'km'), `#!/bin/sh\nexec ${process.execPath} ${program} "$@"\n`, { mode: 0o755 });
  return { path: [bin, process.env.PATH].join(delimiter), archive: join(folder, 'km-here.tar.gz') };
}

/** Runs commands as a shell would; what they leave in the background ends with the process group. */
function shell(commands: string, env: Record<string, string>): ChildProcess & { said: () => string } {
  const child = spawn('sh', ['-ec', commands], {
    cwd: folder,
    env: { ...process.env, ...env },
    detached: true,
    stdio: 'pipe',
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return Object.assign(child, { said: () => said });
}

async function toEnd(commands: string, env: Record<string, string>): Promise<string> {
  const child = shell(commands, env);
  const [code] = (await once(child, 'close')) as [number];
  expect([code, code === 0 ? '' : child.said()]).toEqual([0, '']);
  return child.said();
}

test('the commands of docs/install.md, typed one after the other, make a cluster on a Mesos that is there', async () => {
  const { path, archive } = kmOnPath();
  const schedulerPort = await freePort();
  const ports: [string, number][] = [
    ['10257', await freePort()],
    ['10259', schedulerPort],
  ];
  const [prepare = '', serve = '', use = '', look = ''] = [
    ...readFileSync('docs/install.md', 'utf8').matchAll(/^```sh\n([^]*?)^```/gm),
  ].map(([, commands]) => ports.reduce((said, [there, here]) => said.replaceAll(there, String(here)), commands!));
  const [etcd, port, mesosPort] = [await startEtcd(), await freePort(), await freePort()];
  const args = ['devcluster', '--port', String(mesosPort), '--agent-port', '0', '--work-dir', join(folder, 'mesos')];
  const mesos = new Supervised(
    { name: 'mesos', command: process.execPath, args: [program, ...args], logFile: join(folder, 'mesos.log') },
    () => undefined,
  );
  const env = {
    PATH: path,
    ETCD: etcd.url,
    MESOS: `127.0.0.1:${mesosPort}`,
    SERVER: `https://127.0.0.1:${port}`,
    KM_ARCHIVE: archive,
    KM_EXECUTOR_ARCHIVE_PORT: '0',
    KM_EXECUTOR_ARCHIVE_ADDRESS: '127.0.0.1',
  };
  let servers: ReturnType<typeof shell> | undefined;
  try {
    await mesos.start(AbortSignal.timeout(30_000));
    await toEnd(`tar -czf ${archive} km-here`, env);
    const prepared = await toEnd(prepare, env);
    expect(prepared).toContain('made in');
    expect(prepared).toContain('km preflight: apiserver, scheduler');
    servers = shell(`${serve}wait`, env);
    const kubectl = new Kubectl(newestKubectl(), join(folder, 'pki/admin.kubeconfig'));
    await eventually(
      async () => expect((await kubectl.run('get', 'nodes', '-o', 'name')).split('\n')).toHaveLength(4),
      60_000,
    );
    // The account of a namespace is made by the controller-manager.
    await eventually(async () => expect((await kubectl.try('get', 'serviceaccount', 'default')).code).toBe(0), 30_000);
    expect(await toEnd(use, env)).toContain('pod/hello created');
    await eventually(async () => expect(await kubectl.run('logs', 'hello')).toBe('hello from hello\n'), 60_000);
    expect(await toEnd(look, env)).toMatch(/^ok.*workqueue_depth\{/s);
    const page = `https://${hostname()}:${schedulerPort}/ui/`;
    expect(await webUiOf(`http://127.0.0.1:${mesosPort}`)).toBe(page);
  } finally {
    if (servers?.pid) {
      process.kill(-servers.pid, 'SIGTERM');
      await once(servers, 'close');
    }
    await mesos.stop();
    await etcd.stop();
  }
});
