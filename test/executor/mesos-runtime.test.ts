import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { MesosRuntime } from '../../executor/runtimes/mesos.ts';
import { type MesosAgentForTests, beforeAgent, slowlyBeforeAgent, startMesosAgent } from './mesos-agent.ts';
import { aPod, collect, containerFor, containerOf, eventually, exited, sandboxFor } from './pods-for-tests.ts';
import { describeRuntime } from './runtime.suite.ts';

let agent: MesosAgentForTests;
beforeAll(async () => {
  agent = await startMesosAgent();
}, 60_000);
afterAll(() => agent?.stop(), 60_000);

async function removeAll(runtime: MesosRuntime): Promise<void> {
  for (const { sandbox } of await runtime.pods()) await runtime.removeSandbox(sandbox.id);
  await runtime.close();
}

describeRuntime('Mesos', async (directory) => {
  const root = join(directory, 'mesos');
  const runtime = await agent.open(root);
  const others: MesosRuntime[] = [];
  return {
    runtime,
    reopen: async () => {
      const other = await agent.open(root);
      others.push(other);
      return other;
    },
    outlives: true,
    close: async () => {
      await Promise.all(others.map((other) => other.close()));
      await removeAll(runtime);
    },
  };
});

describe('the Mesos runtime alone', () => {
  let directory: string;
  let runtime: MesosRuntime;
  beforeAll(async () => {
    directory = mkdtempSync('/dev/shm/km-mesos-');
    runtime = await agent.open(join(directory, 'mesos'));
  });
  afterAll(async () => {
    await removeAll(runtime);
    rmSync(directory, { recursive: true, force: true });
  });
  const start = async (container: Parameters<typeof aPod>[0], on = runtime) => {
    const pod = aPod(container);
    const sandbox = sandboxFor(pod, join(directory, 'logs'));
    const { id: sandboxId } = await on.createSandbox(sandbox);
    const spec = containerFor(pod, sandboxId, sandbox);
    const { id } = await on.start(spec);
    return { id, sandboxId, uid: pod.metadata.uid ?? '', log: join(sandbox.logDirectory, spec.logPath) };
  };

  test('its containers are the agent’s, below the executor, and nothing is left of one that is removed', async () => {
    const { id, sandboxId } = await start({ command: ['sleep', '1000'] });
    expect(await agent.nested()).toContain(`${agent.containerId}.${id}`);
    const done = await collect((r) => runtime.exec(id, { command: ['cat'], ...r }), { input: 'in and out' });
    expect([done.code, done.stdout.toString()]).toEqual([0, 'in and out']);
    await eventually(async () => (await agent.nested()).every((name) => !name.startsWith(`${id}.`)), 'the session');
    await runtime.removeSandbox(sandboxId);
    expect(await agent.nested()).not.toContain(`${agent.containerId}.${id}`);
    expect(agent.sandboxes()).not.toContain(id);
  });

  test('a container needs a command where the agent makes none of images, and is told so', async () => {
    const pod = aPod({ image: 'nginx' });
    const [container] = pod.spec.containers;
    if (container) delete container.command;
    const sandbox = sandboxFor(pod, join(directory, 'logs'));
    const { id } = await runtime.createSandbox(sandbox);
    const started = runtime.start(containerFor(pod, id, sandbox));
    await expect(started).rejects.toThrow('--image_providers names no DOCKER');
  });

  test('no credential of the executor is in the environment of a container, be it a session', async () => {
    const { uid, log } = await start({ command: ['sh', '-c', 'env; echo done'], stdin: true });
    await exited(runtime, uid);
    const text = readFileSync(log, 'utf8');
    expect(text).toContain('stdout F done');
    expect(text).not.toMatch(/MESOS_EXECUTOR_ID|MESOS_AGENT_ENDPOINT/);
  });

  test('a terminal of the main process has its size, its input and its log', async () => {
    const { id, log } = await start({ command: ['sh'], stdin: true, tty: true });
    const [stdin, stdout] = [new PassThrough(), new PassThrough()];
    let seen = '';
    stdout.on('data', (chunk: Buffer) => (seen += chunk.toString()));
    const attached = await runtime.attach(id, { stdin, stdout, tty: true });
    attached.resize(91, 33);
    await eventually(async () => {
      stdin.write('stty size\n');
      await new Promise((resolve) => setTimeout(resolve, 50));
      return seen.includes('33 91');
    }, 'the size');
    expect(readFileSync(log, 'utf8')).toContain('33 91');
    stdin.write('exit 6\n');
    expect(await attached.done).toBe(6);
  });

  test('where ACLs keep flags, containers and input from executors, the rest goes on, and exec with input says why it does not', async () => {
    const guard = await beforeAgent(agent.url);
    const guarded = await agent.open(join(directory, 'guarded'), { url: guard.url });
    try {
      const { id, uid } = await start({ command: ['sleep', '1000'] }, guarded);
      const run = (script: string) => guarded.run(id, ['sh', '-c', script], 5_000, AbortSignal.timeout(10_000));
      expect(await run('echo in; exit 3')).toEqual({ exitCode: 3, output: 'in\n' });
      expect((await guarded.usage()).find((usage) => usage.id === id)?.rss).toBeGreaterThan(0);
      const typed = collect((r) => guarded.exec(id, { command: ['cat'], ...r }), { input: 'x' });
      await expect(typed).rejects.toThrow('ATTACH_CONTAINER_INPUT was answered 403');
      await guarded.stop(id, 1);
      expect(await containerOf(guarded, uid)).toMatchObject({ state: 'exited', exitCode: 143 });
    } finally {
      await removeAll(guarded);
      guard.close();
    }
  }, 30_000);

  test('exec of a command that ends before its input has come tells how it ended', async () => {
    const slow = await slowlyBeforeAgent(agent.url);
    const behind = await agent.open(join(directory, 'slow'), { url: slow.url });
    try {
      const { id } = await start({ command: ['sleep', '1000'] }, behind);
      const command = ['sh', '-c', 'echo out; exit 4'];
      const done = await collect((r) => behind.exec(id, { command, ...r }), { input: 'too late' });
      expect([slow.answers, done.code, done.stdout.toString()]).toEqual([[500], 4, 'out\n']);
    } finally {
      await removeAll(behind);
      slow.close();
    }
  }, 30_000);

  test('a restart of the agent touches no container, and its end is learnt after it', async () => {
    const { id, uid, log } = await start({
      command: ['sh', '-c', 'trap "echo bye; exit 4" TERM; echo up; while :; do sleep 0.05; done'],
    });
    await eventually(() => readFileSync(log, 'utf8').includes('up'), 'the trap');
    await agent.restart();
    expect(await containerOf(runtime, uid)).toMatchObject({ state: 'running' });
    await runtime.stop(id, 10);
    expect(await containerOf(runtime, uid)).toMatchObject({ state: 'exited', exitCode: 4 });
    expect(readFileSync(log, 'utf8').match(/stdout F \w+/g)).toEqual(['stdout F up', 'stdout F bye']);
  }, 30_000);

  test('containers end with their executor; the next one finds out, and says why', async () => {
    const { id, uid, log } = await start({ command: ['sh', '-c', 'echo $$; sleep 300'] });
    const text = await eventually(() => /stdout F (\d+)/.exec(readFileSync(log, 'utf8'))?.[1], 'its number');
    const next = await agent.open(join(directory, 'mesos'), { containerId: 'the-next-executor' });
    try {
      expect(await containerOf(next, uid)).toMatchObject({
        ...{ id, state: 'exited', exitCode: 137 },
        message: expect.stringContaining('Mesos ends with an executor what is nested below it'),
      });
    } finally {
      await next.close();
    }
    process.kill(agent.pid, 'SIGKILL');
    await eventually(() => !existsSync(`/proc/${text}`), 'the process to end with the executor');
    expect(await agent.nested()).toEqual([]);
  });
});
