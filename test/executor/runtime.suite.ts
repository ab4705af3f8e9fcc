import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { randomBytes } from 'node:crypto';
import type { Pod } from '../../api/kinds/pod.ts';
import { recordOf } from '../../executor/log-record.ts';
import type { ContainerSpec, Runtime } from '../../executor/runtime.ts';
import { aPod, collect, containerFor, containerOf, eventually, exited, sandboxFor } from './pods-for-tests.ts';

export interface Fixture {
  runtime: Runtime;
  /** A second look at the same containers, as an executor that was started again has it. */
  reopen(): Promise<Runtime>;
  /** Containers go on while no executor runs. */
  outlives: boolean;
  /** Logs are the runtime's own files, not where the kubelet would have them. */
  ownLogs?: boolean;
  close(): Promise<void>;
}

/** What every Runtime promises; each implementation runs the same. */
export function describeRuntime(name: string, open: (directory: string) => Promise<Fixture>): void {
  describe(`the ${name} runtime`, () => {
    let directory: string;
    let fixture: Fixture;
    let runtime: Runtime;

    beforeAll(async () => {
      directory = mkdtempSync('/dev/shm/km-runtime-');
      fixture = await open(directory);
      runtime = fixture.runtime;
    }, 60_000);

    afterAll(async () => {
      await fixture?.close();
      rmSync(directory, { recursive: true, force: true });
    }, 60_000);

    async function run(pod: Pod, more: Partial<ContainerSpec> = {}) {
      const sandbox = sandboxFor(pod, join(directory, 'logs'));
      const { id: sandboxId, ip } = await runtime.createSandbox(sandbox);
      const image = await runtime.images.pull(pod.spec.containers[0]!.image!, 'IfNotPresent');
      const spec = containerFor(pod, sandboxId, sandbox, { imageId: image.id, ...more });
      const { id } = await runtime.start(spec);
      const logPath = fixture.ownLogs
        ? await eventually(async () => (await containerOf(runtime, pod.metadata.uid!))?.logPath, 'its log')
        : join(sandbox.logDirectory, spec.logPath);
      return { id, ip, sandboxId, spec, logPath };
    }
    const sh = (script: string, more: Parameters<typeof aPod>[0] = {}) =>
      aPod({ command: ['sh', '-c', script], ...more });
    const recordsIn = (path: string) =>
      readFileSync(path, 'utf8')
        .trimEnd()
        .split('\n')
        .flatMap((line) => recordOf(Buffer.from(line)) ?? []);
    const logOf = (path: string) =>
      recordsIn(path).map(({ stream, isPart, text }) => `${stream} ${isPart ? 'P' : 'F'} ${text.toString()}`);

    test('runs a command with its environment and writes its log', async () => {
      const { logPath, spec } = await run(sh('echo "$GREETING"; echo oops >&2; printf unfinished'), {
        env: [{ name: 'GREETING', value: "it's  $HOME" }],
      });
      const ended = await exited(runtime, spec.pod.metadata.uid!);
      expect(ended).toMatchObject({ exitCode: 0, reason: 'Completed', logPath, specHash: 'h1', name: 'c' });
      expect(ended.finishedAt).toBeGreaterThanOrEqual(ended.startedAt);
      const lines = await eventually(() => {
        const all = logOf(logPath);
        return all.length >= 3 ? all : undefined;
      }, 'three lines of log');
      expect(lines.filter((l) => l.startsWith('stdout'))).toEqual(["stdout F it's  $HOME", 'stdout P unfinished']);
      expect(lines).toContain('stderr F oops');
      for (const { time } of recordsIn(logPath))
        expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d)$/);
    });

    test('splits a line that is longer than 16 KiB into parts', async () => {
      const { logPath, spec } = await run(sh('head -c 40000 /dev/zero | tr "\\0" x; echo'));
      await exited(runtime, spec.pod.metadata.uid!);
      const parts = await eventually(() => {
        const all = logOf(logPath);
        return all.at(-1)?.startsWith('stdout F') ? all : undefined;
      }, 'the end of the line');
      expect(parts.map((part) => part.slice(0, 8))).toEqual(['stdout P', 'stdout P', 'stdout F']);
      expect(parts.map((part) => part.slice(9)).join('')).toBe('x'.repeat(40000));
    });

    test('tells the exit code of a failure, and counts attempts', async () => {
      const first = await run(sh('exit 7'));
      const uid = first.spec.pod.metadata.uid!;
      expect(await exited(runtime, uid)).toMatchObject({ exitCode: 7, reason: 'Error' });
      await runtime.start({ ...first.spec, attempt: 1, logPath: 'c/1.log' });
      expect(await exited(runtime, uid, 1)).toMatchObject({ exitCode: 7, attempt: 1 });
    });

    test('tells of changes without being asked', async () => {
      const told = new Set<string>();
      runtime.onChange((uid) => told.add(uid));
      const { spec } = await run(sh('sleep 0.2'));
      const uid = spec.pod.metadata.uid!;
      await exited(runtime, uid);
      await eventually(() => told.has(uid), 'the change of this pod', 3000);
    });

    test('stops with SIGTERM, and with SIGKILL what does not listen', async () => {
      const polite = await run(sh('trap "echo bye; exit 3" TERM; echo up; while :; do sleep 0.05; done'));
      await eventually(() => logOf(polite.logPath).includes('stdout F up'), 'the trap to be set');
      await runtime.stop(polite.id, 10);
      expect(await containerOf(runtime, polite.spec.pod.metadata.uid!)).toMatchObject({ state: 'exited', exitCode: 3 });

      const deaf = await run(sh('trap "" TERM; echo up; while :; do sleep 0.05; done'));
      await eventually(() => logOf(deaf.logPath).includes('stdout F up'), 'the trap to be set');
      await runtime.stop(deaf.id, 1);
      expect(await containerOf(runtime, deaf.spec.pod.metadata.uid!)).toMatchObject({ state: 'exited', exitCode: 137 });
      await runtime.stop(deaf.id, 1);
    });

    test('refuses a command that is not there in words', async () => {
      await expect(run(aPod({ command: ['/no/such/thing'] }))).rejects.toMatchObject({ name: 'StartError' });
    });

    test('volumes appear at their paths, also at paths that did not exist, and read-only ones stay as they were', async () => {
      const [a, b] = ['a', 'b'].map((n) => join(directory, `vol-${n}`)) as [string, string];
      mkdirSync(a);
      mkdirSync(b);
      writeFileSync(join(a, 'file'), 'from a\n');
      const { logPath, spec } = await run(
        sh(
          'cat /etc/km-test/file; (echo x > /etc/km-test/new) 2>/dev/null || echo read-only; echo out > /km-data/deep/made; ls /bin/sh',
        ),
        {
          mounts: [
            { hostPath: a, containerPath: '/etc/km-test', readOnly: true },
            { hostPath: b, containerPath: '/km-data/deep', readOnly: false },
          ],
        },
      );
      await exited(runtime, spec.pod.metadata.uid!);
      expect(logOf(logPath)).toEqual(['stdout F from a', 'stdout F read-only', 'stdout F /bin/sh']);
      expect(readFileSync(join(b, 'made'), 'utf8')).toBe('out\n');
    });

    describe('exec', () => {
      let id: string;
      beforeAll(async () => {
        ({ id } = await run(sh('sleep 100'), { env: [{ name: 'ONE', value: '1' }] }));
      });

      test('gives output, errors and the exit code apart', async () => {
        const done = await collect((r) =>
          runtime.exec(id, { command: ['sh', '-c', 'echo $ONE; echo e >&2; exit 5'], ...r }),
        );
        expect(done).toMatchObject({ code: 5 });
        expect([done.stdout.toString(), done.stderr.toString()]).toEqual(['1\n', 'e\n']);
      });

      test('carries 5 MB both ways unchanged and tells the command when input ends', async () => {
        const input = randomBytes(5 * 1024 * 1024);
        const done = await collect((r) => runtime.exec(id, { command: ['cat'], ...r }), { input });
        expect(done.code).toBe(0);
        expect(done.stdout.equals(input)).toBe(true);
      });

      test('has a terminal with a size when asked for one', async () => {
        const stdin = new PassThrough();
        const stdout = new PassThrough();
        let seen = '';
        stdout.on('data', (chunk: Buffer) => (seen += chunk.toString()));
        const exec = await runtime.exec(id, { command: ['sh'], stdin, stdout, tty: true });
        stdin.write('tty; echo re""ady\n');
        await eventually(() => seen.includes('ready'), 'the shell to answer');
        expect(seen).toContain('/dev/pts/');
        exec.resize(123, 45);
        await eventually(async () => {
          stdin.write('stty size\n');
          await new Promise((resolve) => setTimeout(resolve, 50));
          return seen.includes('45 123');
        }, 'the new size');
        stdin.write('exit 4\n');
        expect(await exec.done).toBe(4);
      });

      test('the command learns that the client went away', async () => {
        const stdin = new PassThrough();
        const exec = await runtime.exec(id, {
          command: ['cat', '-', '/dev/null'],
          stdin,
          stdout: new PassThrough(),
          tty: false,
        });
        exec.kill();
        await exec.done.catch(() => undefined);
        await eventually(async () => {
          const ps = await collect((r) => runtime.exec(id, { command: ['ps', 'ax'], ...r }));
          return !ps.stdout.toString().includes('cat - /dev/null');
        }, 'the command to be gone');
      });

      test('runs a command to its end, or until its time is over', async () => {
        const run = (script: string, ms?: number) =>
          runtime.run(id, ['sh', '-c', script], ms, AbortSignal.timeout(10_000));
        expect(await run('echo $ONE; echo e >&2; exit 6')).toEqual({ exitCode: 6, output: '1\ne\n' });
        expect(await run('sleep 100', 1_000)).toBe('late');
        const gone = new AbortController();
        const left = runtime.run(id, ['sleep', '100'], undefined, gone.signal);
        gone.abort(new Error('enough'));
        await expect(left).rejects.toThrow('enough');
      });

      test('refuses a container that is not there', async () => {
        await expect(runtime.exec('nope', { command: ['true'], tty: false })).rejects.toThrow();
      });
    });

    test('attach sees output from now on and reaches the input of the process', async () => {
      const { id } = await run(sh('while read line; do echo "got $line"; done', { stdin: true }));
      const stdin = new PassThrough();
      const stdout = new PassThrough();
      let seen = '';
      stdout.on('data', (chunk: Buffer) => (seen += chunk.toString()));
      const attached = await runtime.attach(id, { stdin, stdout, tty: false });
      stdin.write('hello\n');
      await eventually(() => seen.includes('got hello'), 'the answer');
      attached.kill();
      await attached.done.catch(() => undefined);
    });

    test('connects to a port inside the pod', async () => {
      const probe = createServer().listen(0);
      const { port } = probe.address() as { port: number };
      await new Promise((resolve) => probe.close(resolve));
      const server = `while :; do printf "HTTP/1.0 200 OK\\r\\n\\r\\nfrom the pod" | busybox nc -l -p ${port} >/dev/null; done`;
      const { sandboxId } = await run(sh(server));
      const answer = await eventually(async () => {
        const socket = await runtime.connect(sandboxId, port).catch(() => undefined);
        if (!socket) return undefined;
        let text = '';
        socket.on('error', () => undefined);
        socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
        socket.write('GET / HTTP/1.0\r\n\r\n');
        await Promise.race([
          new Promise((resolve) => socket.once('end', resolve)),
          new Promise((resolve) => socket.once('close', resolve)),
        ]);
        socket.destroy();
        return text || undefined;
      }, 'an answer from the port');
      expect(answer).toContain('from the pod');
    });

    test('tells what its containers use', async () => {
      const { id, spec } = await run(sh('i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 100'));
      const used = await eventually(async () => {
        const found = (await runtime.usage()).find((usage) => usage.id === id);
        return found && found.cpuNanos > 5e7 ? found : undefined;
      }, 'its use of the processor');
      expect(used).toMatchObject({ podUid: spec.pod.metadata.uid!, name: 'c' });
      expect(used.workingSet).toBeGreaterThan(4096);
      expect(Math.abs(used.at - Date.now())).toBeLessThan(60_000);
      await runtime.stop(id, 0);
      expect((await runtime.usage()).some((usage) => usage.id === id)).toBe(false);
    });

    test('another executor finds the pods again', async () => {
      const { id, spec, sandboxId } = await run(sh('sleep 100'));
      const uid = spec.pod.metadata.uid!;
      const other = await fixture.reopen();
      const found = (await other.pods()).find((p) => p.uid === uid)!;
      expect(await other.pod(uid)).toEqual(found);
      expect(await other.pod('another')).toBeUndefined();
      expect(found).toMatchObject({
        namespace: 'default',
        name: 'p',
        sandbox: { id: sandboxId, attempt: 0, ready: true },
      });
      expect(found.containers).toEqual([
        expect.objectContaining({
          id,
          name: 'c',
          attempt: 0,
          specHash: 'h1',
          state: fixture.outlives ? 'running' : 'exited',
        }),
      ]);
      expect(found.containers[0]!.startedAt).toBeGreaterThan(Date.now() - 60_000);
      await other.removeSandbox(sandboxId);
      expect((await other.pods()).some((p) => p.uid === uid)).toBe(false);
      expect(await other.pod(uid)).toBeUndefined();
      await other.removeSandbox(sandboxId);
    });
  });
}
