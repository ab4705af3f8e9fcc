import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { eventually } from '../eventually.ts';
import { type TestCluster, talkers } from './harness.ts';
import { type InstalledKubectl, Kubectl } from './kubectl.ts';

/** What a user does in the first ten minutes, with one kubectl. Run over every runtime and every kubectl of the machine. */
export function firstTenMinutes(cluster: () => TestCluster, installed: InstalledKubectl): void {
  const app = `web-${installed.version.replace('.', '-')}`;
  const kubectl = () => new Kubectl(installed, cluster().kubeconfig);
  const manifest = () => {
    const file = join(cluster().dir, `${app}.yaml`);
    writeFileSync(file, talkers(app, 10));
    return file;
  };

  describe(`kubectl ${installed.version}`, () => {
    test('applies a Deployment of ten replicas and sees it rolled out on all three agents', async () => {
      const k = kubectl();
      expect(await k.run('apply', '-f', manifest())).toContain(`deployment.apps/${app} created`);
      expect(await k.run('rollout', 'status', `deployment/${app}`, '--timeout=60s')).toContain(
        'successfully rolled out',
      );
      const wide = await k.run('get', 'pods', '-l', `app=${app}`, '-o', 'wide');
      const rows = wide.trim().split('\n').slice(1);
      expect(rows).toHaveLength(10);
      for (const row of rows) expect(row).toMatch(/1\/1\s+Running\s+0/);
      expect(new Set(rows.map((row) => /agent-\d/.exec(row)?.[0]))).toEqual(new Set(['agent-1', 'agent-2', 'agent-3']));
      expect(await k.run('apply', '-f', manifest())).toContain(`deployment.apps/${app} unchanged`);
    });

    test('sees the nodes, and a pod described with its events', async () => {
      const k = kubectl();
      const nodes = (await k.run('get', 'nodes')).trim().split('\n').slice(1);
      expect(nodes).toHaveLength(3);
      for (const row of nodes) expect(row).toMatch(/^agent-\d\s+Ready\s/);
      const name = (await k.run('get', 'pods', '-l', `app=${app}`, '-o', 'jsonpath={.items[0].metadata.name}')).trim();
      const described = await k.run('describe', 'pod', name);
      expect(described).toMatch(/Node:\s+agent-\d/);
      expect(described).toMatch(/Status:\s+Running/);
      expect(described).toContain('Successfully assigned');
      expect(described).toMatch(/Started\s.*kubelet/);
    });

    test('follows logs, and stops when told', async () => {
      const k = kubectl();
      const following = k.start('logs', '-f', '--tail=1', `deployment/${app}`);
      try {
        await eventually(
          () => expect(following.output().match(/\d\d:\d\d:\d\d/g)?.length ?? 0).toBeGreaterThanOrEqual(3),
          15_000,
        );
      } finally {
        following.kill();
      }
    });

    test('executes in a pod: exit code, input, a terminal', async () => {
      const k = kubectl();
      const pod = (await k.run('get', 'pods', '-l', `app=${app}`, '-o', 'name')).split('\n')[0]!;
      expect(await k.try('exec', pod, '--', 'sh', '-c', 'echo out; echo err >&2; exit 7')).toMatchObject({
        code: 7,
        stdout: 'out\n',
      });
      expect(await k.feed('one\ntwo\n', 'exec', '-i', pod, '--', 'wc', '-l')).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^\s*2\n$/),
      });
      const terminal = await k.inTerminal('tty && echo is-a-tty\nexit 5\n', 'exec', '-it', pod, '--', 'sh');
      expect(terminal.stdout).toContain('is-a-tty');
      expect(terminal.code).toBe(5);
    });

    test('scales, waits, and deletes', async () => {
      const k = kubectl();
      await k.run('scale', `deployment/${app}`, '--replicas=3');
      await eventually(
        async () =>
          expect((await k.run('get', 'pods', '-l', `app=${app}`, '-o', 'name')).trim().split('\n')).toHaveLength(3),
        30_000,
      );
      await k.run('wait', '--for=condition=Available', `deployment/${app}`, '--timeout=30s');
      expect(await k.run('delete', 'deployment', app)).toContain('deleted');
      await eventually(
        async () => expect(await k.run('get', 'pods', '-l', `app=${app}`, '-o', 'name')).toBe(''),
        30_000,
      );
    });

    test('runs a pod to its end, and reads what it said', async () => {
      const k = kubectl();
      const name = `${app}-once`;
      await k.run(
        'run',
        name,
        '--image=k8s.test/busybox:1',
        '--restart=Never',
        '--command',
        '--',
        'sh',
        '-c',
        'echo done; exit 0',
      );
      await eventually(
        async () => expect(await k.run('get', 'pod', name, '-o', 'jsonpath={.status.phase}')).toBe('Succeeded'),
        30_000,
      );
      expect(await k.run('logs', name)).toBe('done\n');
      await k.run('delete', 'pod', name);
    });
  });
}
