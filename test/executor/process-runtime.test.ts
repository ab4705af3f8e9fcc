import { describe, expect, test } from '@jest/globals';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ProcessRuntime } from '../../executor/runtimes/process.ts';
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
      await expect(runtime.start(containerFor(pod, id, sandbox))).rejects.toThrow('give the container a command');
      expect(existsSync('/km-data')).toBe(false);
      expect(existsSync('/etc/km-test')).toBe(false);
    } finally {
      await runtime.close();
      rmSync(directory, { recursive: true, force: true });
    }
  });

  test('processes that a command left behind end with it', async () => {
    const directory = mkdtempSync('/dev/shm/km-process-');
    const runtime = new ProcessRuntime({ root: directory, nodeIp: '127.0.0.1', log: silent });
    try {
      const pod = aPod({ command: ['sh', '-c', 'sleep 300.75 & echo $! > pid; exit 0'], workingDir: directory });
      const sandbox = sandboxFor(pod, join(directory, 'logs'));
      const { id } = await runtime.createSandbox(sandbox);
      await runtime.start(containerFor(pod, id, sandbox));
      await eventually(async () => (await containerOf(runtime, pod.metadata.uid!))?.state === 'exited', 'the end');
      const { readFileSync } = await import('node:fs');
      const pid = Number(readFileSync(join(directory, 'pid'), 'utf8'));
      await eventually(() => !existsSync(`/proc/${pid}`), 'the process left behind to be gone');
    } finally {
      await runtime.close();
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
