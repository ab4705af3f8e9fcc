import { execFile, execFileSync, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { eventually } from '../eventually.ts';
import { testDirectory } from './harness.ts';
import { Kubectl, newestKubectl } from './kubectl.ts';

const dir = testDirectory();
const started: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const stop of started) await stop();
  rmSync(dir, { recursive: true, force: true });
}, 60_000);

const km = join(process.cwd(), 'cli/km.ts');
const kubectl = new Kubectl(newestKubectl(), join(dir, 'kubeconfig'));

/** Processes whose command line or working directory names our directory. */
const leftovers = () =>
  execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(dir) && !line.includes(' ps '));

async function up(...flags: string[]) {
  const child = spawn(
    process.execPath,
    [km, 'up', '--dir', dir, '--port', '0', '--etcd-port', '0', '--mesos-port', '0', ...flags],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1' } },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const stop = () => {
    child.kill('SIGINT');
    return ended;
  };
  started.push(stop);
  await eventually(() => expect(output).toContain('Ready. Try:'), 60_000);
  return { output: () => output, stop };
}

test.each(['etcd', 'embedded'])(
  'km up with the %s store: Ctrl-C stops all it started and nothing else; what was made is there again',
  async (store) => {
    const bystander = spawn('sleep', ['1000']);
    const first = await up('--store', store);
    expect(first.output()).toMatch(
      /✓ apiserver[\s\S]*✓ development Mesos[\s\S]*✓ controller-manager[\s\S]*✓ scheduler/,
    );
    expect(first.output().match(/^ {2}kubectl /gm)).toHaveLength(3);
    await kubectl.run('run', `kept-${store}`, '--image=k8s.test/busybox:1', '--command', '--', 'sleep', '1000');
    await kubectl.run('wait', '--for=condition=Ready', `pod/kept-${store}`, '--timeout=30s');
    const uid = await kubectl.run('get', 'pod', `kept-${store}`, '-o', 'jsonpath={.metadata.uid}');
    expect(await first.stop()).toBe(0);
    expect(leftovers()).toEqual([]);
    expect(bystander.exitCode).toBeNull();

    const second = await up('--store', store);
    expect(await kubectl.run('get', 'pod', `kept-${store}`, '-o', 'jsonpath={.metadata.uid}')).toBe(uid);
    await eventually(async () => {
      const state = await kubectl.run(
        'get',
        'pod',
        `kept-${store}`,
        '-o',
        'jsonpath={.status.phase} {.status.containerStatuses[0].ready} {.status.containerStatuses[0].restartCount}',
      );
      expect(state).toMatch(/^Running true [1-9]/);
    }, 60_000);
    expect(await kubectl.run('exec', `kept-${store}`, '--', 'echo', 'here')).toBe('here\n');
    expect(await second.stop()).toBe(0);
    expect(leftovers()).toEqual([]);
    bystander.kill();
  },
  180_000,
);

test('a taken port is named, with the flag that chooses another', async () => {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
  const { port } = holder.address() as { port: number };
  const { code, stderr } = await new Promise<{ code: unknown; stderr: string }>((resolve) => {
    execFile(
      process.execPath,
      [km, 'up', '--dir', dir, '--port', String(port), '--etcd-port', '0', '--mesos-port', '0'],
      (error, _stdout, text) => resolve({ code: error?.code, stderr: text }),
    );
  });
  holder.close();
  expect(code).toBe(1);
  expect(stderr).toContain(`port ${port} is already in use; choose another with --port`);
  expect(leftovers()).toEqual([]);
});
