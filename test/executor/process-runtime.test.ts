import { describe, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ProcessRuntime } from '../../executor/runtimes/process.ts';
import { containerCommand, powersOf } from '../../executor/runtimes/process-command.ts';
import { silent } from '../../lib/log.ts';
import { aPod, containerFor, containerOf, eventually, sandboxFor } from './pods-for-tests.ts';
import { describeRuntime } from './runtime.suite.ts';

describeRuntime('process', (directory) => {
  const options = { root: join(directory, 'process'), nodeIp: '127.0.0.1', log: silent };
  const runtime = new ProcessRuntime(options);
  return Promise.resolve({
    runtime,
    reopen: () => Promise.resolve(new ProcessRuntime(options)),
    outlives: false,
    close: () => runtime.close(),
  });
});

describe('the process runtime alone', () => {
  test('says that it needs a command, and leaves nothing of the machine changed by volumes', async () => {
    const directory = mkdtempSync('/dev/shm/km-process-');
    const runtime = new ProcessRuntime({ root: directory, nodeIp: '127.0.0.1', log: silent });
    try {
      const pod = aPod({ name: 'c', image: 'nginx' });
      delete pod.spec.containers[0]!.command;
      const sandbox = sandboxFor(pod, join(directory, 'logs'));
      const { id } = await runtime.createSandbox(sandbox);
      await expect(runtime.start(containerFor(pod, id, sandbox))).rejects.toThrow(/give the container a command$/);
      pod.spec.containers[0]!.args = ['sh', '-c', 'date'];
      await expect(runtime.start(containerFor(pod, id, sandbox))).rejects.toThrow('kubectl run takes --command');
      expect(existsSync('/km-data')).toBe(false);
      expect(existsSync('/etc/km-test')).toBe(false);
    } finally {
      await runtime.close();
      rmSync(directory, { recursive: true, force: true });
    }
  });

  (powersOf().mounts ? test : test.skip)(
    'beside volumes a command sees the whole root of the machine, whatever its names',
    async () => {
      const directory = mkdtempSync('/dev/shm/km process #');
      const odd = mkdtempSync('/km test \\#');
      const link = `${odd} link`;
      symlinkSync(odd, link);
      writeFileSync(join(odd, 'file'), 'odd\n');
      const runtime = new ProcessRuntime({ root: directory, nodeIp: '127.0.0.1', log: silent });
      try {
        const script =
          'cat "$0/file"; readlink "$0"; for e in /* /.[!.]*; do [ -e "$e" ] && echo "$e"; done; cat /proc/mounts';
        const pod = aPod({ command: ['sh', '-c', script, link] });
        const sandbox = sandboxFor(pod, join(directory, 'logs'));
        const { id } = await runtime.createSandbox(sandbox);
        const mounts = [{ hostPath: odd, containerPath: '/run/km-none/deep', readOnly: true }];
        await runtime.start(containerFor(pod, id, sandbox, { mounts }));
        await eventually(async () => (await containerOf(runtime, pod.metadata.uid!))?.state === 'exited', 'the end');
        const log = readFileSync(join(directory, 'logs', pod.metadata.uid!, 'c/0.log'), 'utf8');
        const said = log.split('\n').map((line) => line.split(' ').slice(3).join(' '));
        const there = readdirSync('/').map((name) => `/${name}`);
        expect(said.splice(0, 2)).toEqual(['odd', odd]);
        expect(said.filter((line) => there.includes(line)).sort()).toEqual(
          there.filter((path) => existsSync(path)).sort(),
        );
        for (const path of ['/proc', '/dev/shm', '/run', '/run/km-none/deep'])
          expect(said).toContainEqual(expect.stringMatching(`^\\S+ ${path} `));
        expect(existsSync('/run/km-none')).toBe(false);
      } finally {
        await runtime.close();
        for (const path of [directory, odd, link]) rmSync(path, { recursive: true, force: true });
      }
    },
  );

  test('processes that a command left behind end with it', async () => {
    const directory = mkdtempSync('/dev/shm/km-process-');
    const runtime = new ProcessRuntime({ root: directory, nodeIp: '127.0.0.1', log: silent });
    try {
      const pod = aPod({ command: ['sh', '-c', 'sleep 300.75 & echo $! > pid; exit 0'], workingDir: directory });
      const sandbox = sandboxFor(pod, join(directory, 'logs'));
      const { id } = await runtime.createSandbox(sandbox);
      await runtime.start(containerFor(pod, id, sandbox));
      await eventually(async () => (await containerOf(runtime, pod.metadata.uid!))?.state === 'exited', 'the end');
      const pid = Number(readFileSync(join(directory, 'pid'), 'utf8'));
      await eventually(() => !existsSync(`/proc/${pid}`), 'the process left behind to be gone');
    } finally {
      await runtime.close();
      rmSync(directory, { recursive: true, force: true });
    }
  });

  test('kill -9 of the executor ends its processes, and the next one finds out and sweeps the rest', async () => {
    const directory = mkdtempSync('/dev/shm/km-process-');
    const [first, second] = [join(directory, 'first'), join(directory, 'second')];
    const script = `(sleep 300.125 & echo $! > ${second}); echo $$ > ${first}; sleep 300`;
    const program = `
      import { ProcessRuntime } from ${JSON.stringify(join(process.cwd(), 'executor/runtimes/process.ts'))};
      const runtime = new ProcessRuntime({ root: ${JSON.stringify(join(directory, 'process'))}, nodeIp: '127.0.0.1', log: { warn() {} } });
      const pod = { metadata: { name: 'p', namespace: 'default', uid: 'u' }, spec: { containers: [] } };
      const sandbox = { pod, attempt: 0, hostname: 'p', logDirectory: ${JSON.stringify(join(directory, 'logs'))}, portMappings: [] };
      const { id } = await runtime.createSandbox(sandbox);
      await runtime.start({
        pod, sandbox, sandboxId: id, attempt: 0, specHash: 'h', imageId: '', env: [], mounts: [], devices: [], logPath: 'c/0.log',
        container: { name: 'c', command: ['sh', '-c', ${JSON.stringify(script)}] }, resources: { cpuShares: 2, oomScoreAdj: 0 },
      });
      setInterval(() => {}, 1000);`;
    const executor = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'inherit' });
    try {
      const pids = await eventually(() => {
        if (!existsSync(first) || !existsSync(second)) return undefined;
        const found = [first, second].map((file) => Number(readFileSync(file, 'utf8')));
        const records = readdirSync(join(directory, 'process'), { recursive: true }).filter((n) =>
          String(n).endsWith('.json'),
        );
        return records.length === 2 && found.every((pid) => pid > 0) ? found : undefined;
      }, 'both processes');
      executor.kill('SIGKILL');
      await eventually(() => !isRunning(pids[0]!), 'the main process to end with the executor');
      expect(isRunning(pids[1]!)).toBe(true);
      const next = new ProcessRuntime({ root: join(directory, 'process'), nodeIp: '127.0.0.1', log: silent });
      expect(await containerOf(next, 'u')).toMatchObject({ state: 'exited', exitCode: 137 });
      await eventually(() => !isRunning(pids[1]!), 'the other one to be swept');
    } finally {
      executor.kill('SIGKILL');
      rmSync(directory, { recursive: true, force: true });
    }
  });
});

const isRunning = (pid: number): boolean =>
  existsSync(`/proc/${pid}/stat`) && !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));

// Whoever ran a command in between was in the machine's root: once in a few hundred starts of a busy machine.
test.each([undefined, '/x/ready'])(
  'a container with a root of its own says that it is there in this root, not before',
  (ready) => {
    const pod = aPod();
    const spec = {
      ...containerFor(pod, 's', sandboxFor(pod, '/tmp'), {}),
      mounts: [{ hostPath: '/tmp', containerPath: '/km-own-root', readOnly: false }],
    };
    const powers = { ...powersOf('linux', 0), mounts: true };
    const script = containerCommand(spec, ['true'], powers, { root: '/r', work: '/w' }, ready).join('\n');
    expect(script.split('exec chroot')[0]).not.toContain('exec 3>&-');
    expect(script.split('exec chroot')[1]).toContain('exec 3>&-');
  },
);
