import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { program } from '../cli/run-km.ts';
import { cluster as devcluster, endAll } from '../devcluster/builders.ts';
import { eventually } from '../eventually.ts';
import { type TestCluster, startTestCluster, testDirectory } from './harness.ts';
import { leaksIn } from './leaks.ts';

describe('on a Mesos that asks everybody who he is', () => {
  const dir = testDirectory();
  const [secret, wrong] = ['the secret of km', 'not the secret of km'];
  const file = (name: string, text: string): string => {
    mkdirSync(join(dir, 'given'), { recursive: true });
    writeFileSync(join(dir, 'given', name), text);
    return join(dir, 'given', name);
  };
  let cluster: TestCluster;
  beforeAll(async () => {
    const credentials = file(
      'credentials',
      JSON.stringify({ credentials: ['km', 'another'].map((principal) => ({ principal, secret })) }),
    );
    const key = file('key', 'the key of tokens');
    const mesos = await devcluster({}, { credentialsFile: credentials, jwtSecretKeyFile: key });
    const scheduler = ['--mesos-principal', 'km', '--mesos-secret-file', file('secret', `${secret}\n`)];
    cluster = await startTestCluster({ dir, runtime: 'mesos', masters: mesos.masterUrl, flags: { scheduler } });
  }, 90_000);
  afterAll(async () => {
    await cluster?.stop();
    await endAll();
    await rm(dir, { recursive: true, force: true });
  }, 60_000);

  /** One more scheduler for the same cluster. */
  function another(...flags: string[]) {
    const args = [
      ...['--kubeconfig', cluster.kubeconfig, '--leader-elect=false', '--port', '0', '--log-level', 'debug'],
      ...['--mesos-master', cluster.masterUrl, '--executor-token-file', join(dir, 'pki/executor-token'), ...flags],
    ];
    const child = spawn(process.execPath, [program, 'scheduler', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += String(chunk)));
    const stop = async () => {
      child.kill();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    };
    return { pid: child.pid, said: () => said, stop };
  }

  test('pods run as containers that executors launch with their tokens, and do not get these', async () => {
    const { kubectl } = cluster;
    const look = 'env | grep ^MESOS_EXECUTOR_AUTH; echo looked';
    const command = ['--image=none', '--restart=Never', '--command', '--', 'sh', '-c', look];
    await kubectl.run('run', 'looks', ...command);
    await kubectl.run('wait', '--for=jsonpath={.status.phase}=Succeeded', 'pod/looks', '--timeout=40s');
    expect(await kubectl.run('logs', 'looks')).toBe('looked\n');
    const logs = globSync(join(dir, 'logs/*.log'));
    expect(logs).toContain(join(dir, 'logs/scheduler.log'));
    expect(leaksIn(logs, { secret, key: readFileSync(join(dir, 'given/key'), 'utf8') })).toEqual([]);
  }, 60_000);

  test('a scheduler with a wrong secret says who it is and what to do, tries on, and gives nothing away', async () => {
    const scheduler = another(
      '--framework-name',
      'wrong',
      '--mesos-principal',
      'km',
      '--mesos-secret-file',
      file('wrong', wrong),
    );
    try {
      const lines = () =>
        scheduler
          .said()
          .split('\n')
          .filter((line) => line.includes('"the Mesos master refuses our credentials'));
      await eventually(() => expect(lines().length).toBeGreaterThan(1), 30_000);
      expect(lines()[0]).toContain('the server knows no principal \\"km\\" with our secret');
      expect(lines()[0]).toContain('--mesos-secret-file');
      const shown = `${scheduler.said()}${readFileSync(`/proc/${scheduler.pid}/cmdline`, 'utf8')}`;
      for (const text of [wrong, Buffer.from(`km:${wrong}`).toString('base64')]) expect(shown).not.toContain(text);
    } finally {
      await scheduler.stop();
    }
  }, 60_000);

  test('a scheduler with another principal than its framework had takes nothing over, and says which it has to have', async () => {
    const scheduler = another('--mesos-principal', 'another', '--mesos-secret-file', join(dir, 'given/secret'));
    try {
      await eventually(
        () => expect(scheduler.said()).toContain('start with the --mesos-principal that this framework had'),
        30_000,
      );
      const { kubectl } = cluster;
      await kubectl.run('run', 'goes-on', '--image=none', '--restart=Never', '--command', '--', 'true');
      await kubectl.run('wait', '--for=jsonpath={.status.phase}=Succeeded', 'pod/goes-on', '--timeout=40s');
      expect(readFileSync(join(dir, 'logs/scheduler.log'), 'utf8')).not.toContain('has taken over this framework');
    } finally {
      await scheduler.stop();
    }
  }, 60_000);
});
