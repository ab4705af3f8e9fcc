import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { annotations } from '../../api/kinds/names.ts';
import { Pod } from '../../api/kinds/pod.ts';
import { askMaster } from '../../mesos/operator.ts';
import { eventually } from '../eventually.ts';
import { type TestCluster, startTestCluster, talkers } from './harness.ts';

const subscribed = 'subscribed to the Mesos master';

describe('several schedulers', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    const times = ['lease-duration=3s', 'renew-deadline=2s', 'retry-period=200ms'];
    const election = ['--leader-elect=true', ...times.map((time) => `--leader-elect-${time}`)];
    cluster = await startTestCluster({ flags: { scheduler: election } });
  }, 90_000);
  afterAll(() => cluster?.stop(), 60_000);

  const others: ChildProcess[] = [];
  afterEach(async () => {
    for (const other of others.splice(0)) {
      if (other.exitCode !== null || other.signalCode !== null) continue;
      other.kill('SIGKILL');
      await once(other, 'exit');
    }
  });

  const pid = (): number => cluster.servers.get('scheduler')?.pid ?? NaN;
  const signal = (name: NodeJS.Signals) => process.kill(pid(), name);
  const ownLog = () => readFileSync(join(cluster.dir, 'logs/scheduler.log'), 'utf8');
  const times = (text: string, words: string) => text.split(words).length - 1;

  /** One more, told the same as the one that runs. Answers what it logs. */
  function another(...flags: string[]): () => string {
    const [command = '', ...args] = readFileSync(`/proc/${pid()}/cmdline`, 'utf8').split('\0').filter(Boolean);
    const child = spawn(command, [...args, ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
    others.push(child);
    const lines: string[] = [];
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on('line', (line) => lines.push(line));
    return () => lines.join('\n');
  }

  const frameworks = async () =>
    (await askMaster({ url: cluster.masterUrl }, { type: 'GET_FRAMEWORKS' })).get_frameworks.frameworks?.map(
      ({ framework_info: { id }, active }) => [id?.value, active],
    );
  /** Each pod with what would be another if it had been started anew. */
  const crew = async (count: number) =>
    eventually(async () => {
      const { items } = await cluster.client.list(Pod, { labelSelector: 'app=crew' });
      const running = items.filter(({ status }) => status?.containerStatuses?.[0]?.ready);
      expect(running).toHaveLength(count);
      return new Map(
        running.map(({ metadata, status }) => [
          metadata.uid,
          [metadata.annotations?.[annotations.taskId], status?.containerStatuses?.[0]?.containerID],
        ]),
      );
    }, 30_000);
  const scale = (replicas: number) => cluster.kubectl.run('scale', 'deployment/crew', `--replicas=${replicas}`);

  test('one leads; when it falls silent the next goes on as the same framework, and pods stay as they are', async () => {
    await cluster.kubectl.feed(talkers('crew', 2), 'apply', '-f', '-');
    const before = await crew(2);
    const framework = await frameworks();
    const log = another();
    signal('SIGSTOP');
    await eventually(() => expect(log()).toContain(subscribed), 30_000);
    await scale(3);
    const after = await crew(3);
    for (const [uid, identity] of before) expect(after.get(uid)).toEqual(identity);
    expect(await frameworks()).toEqual(framework);
    // It has lost the lead while it slept: it ends, and what is started in its place waits.
    const seen = times(ownLog(), subscribed);
    const asleep = pid();
    signal('SIGCONT');
    await eventually(() => expect(pid()).not.toBe(asleep), 20_000);
    await scale(4);
    await crew(4);
    expect(times(ownLog(), subscribed)).toBe(seen);
  }, 120_000);

  test('whose framework another took over ends, and says why', async () => {
    // The one that waited leads again.
    await eventually(() => expect(times(ownLog(), subscribed)).toBe(2), 30_000);
    const log = another('--leader-elect=false');
    await eventually(() => expect(log()).toContain(subscribed), 20_000);
    await eventually(() => expect(ownLog()).toContain('another km scheduler has taken over this framework'), 20_000);
    expect((await frameworks())?.length).toBe(1);
  }, 120_000);
});
