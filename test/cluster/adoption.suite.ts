import { beforeAll, describe, expect, test } from '@jest/globals';
import { annotations } from '../../api/kinds/names.ts';
import { Pod } from '../../api/kinds/pod.ts';
import type { Stored } from '../../api/meta.ts';
import { eventually } from '../eventually.ts';
import { type TestCluster, talkers } from './harness.ts';
import { executorsOf, isAlive, processesOf } from './processes.ts';

/** What outlives what, where containers are a daemon's. */
export function describeAdoption(
  cluster: () => TestCluster,
  daemon: () => { kill(): Promise<void>; start(): Promise<void> },
): void {
  describe('what outlives what', () => {
    beforeAll(async () => {
      const talking = talkers('steady', 6, 'n=0; while :; do n=$((n+1)); echo $n; sleep 0.2; done');
      await cluster().kubectl.feed(talking, 'apply', '-f', '-');
      await cluster().kubectl.run('rollout', 'status', 'deployment/steady', '--timeout=60s');
    }, 90_000);

    type Known = Pod & Stored;
    const pods = async (): Promise<Known[]> => (await cluster().client.list(Pod, { namespace: 'default' })).items;
    const taskOf = ({ metadata }: Known) => metadata.annotations?.[annotations.taskId];

    /** What tells one life of a pod from the next: the container, how often it was restarted, when its process started. */
    const lives = (found: readonly Known[]) =>
      Promise.all(
        found.map(async ({ metadata: { name, uid }, spec: { nodeName }, status }) => ({
          uid,
          nodeName,
          podIP: status?.podIP,
          container: status?.containerStatuses?.[0]?.containerID,
          restarts: status?.containerStatuses?.[0]?.restartCount,
          ready: status?.containerStatuses?.[0]?.ready,
          process: await cluster().kubectl.run('exec', name, '--', 'cut', '-d', ' ', '-f22', '/proc/1/stat'),
        })),
      );

    /** The last number that the pod said. */
    const count = async (name: string) => Number(await cluster().kubectl.run('logs', name, '--tail=1'));

    async function expectTalking(found: readonly Known[]): Promise<void> {
      for (const { metadata } of found) {
        // A line that was cut short when its writer died is no number; the next one is.
        const before = await eventually(async () => {
          const now = await count(metadata.name);
          expect(now).toBeGreaterThan(0);
          return now;
        });
        await eventually(async () => expect(await count(metadata.name)).toBeGreaterThan(before));
      }
    }

    test('kill -9 of an executor leaves its containers running, and the next one adopts them', async () => {
      const before = await pods();
      const livesBefore = await lives(before);
      const victim = executorsOf(cluster()).find(({ node }) => before.some(({ spec }) => spec.nodeName === node))!;
      process.kill(victim.pid, 'SIGKILL');
      await eventually(() => expect(isAlive(victim.pid)).toBe(false));
      const hit = before.filter(({ spec }) => spec.nodeName === victim.node);
      expect(hit.length).toBeGreaterThan(0);
      await eventually(async () => {
        const next = executorsOf(cluster()).find(({ node }) => node === victim.node);
        expect(next?.pid).toBeDefined();
        expect(next!.pid).not.toBe(victim.pid);
        const tasks = new Map((await pods()).map((pod) => [pod.metadata.uid, taskOf(pod)]));
        for (const pod of hit) {
          expect(tasks.get(pod.metadata.uid)).toBeDefined();
          expect(tasks.get(pod.metadata.uid)).not.toBe(taskOf(pod));
        }
      }, 40_000);
      await eventually(async () => expect(await lives(await pods())).toEqual(livesBefore), 20_000);
      await expectTalking(hit);
    }, 90_000);

    test('kill -9 of the runtime leaves pods running; a container that ended meanwhile is started again', async () => {
      const before = await pods();
      const livesBefore = await lives(before);
      const ended = before[0]!;
      await daemon().kill();
      const [pid] = processesOf(ended.metadata.uid, 'sh -c');
      process.kill(pid!, 'SIGKILL');
      expect((await pods()).map(({ status }) => status?.phase)).toEqual(before.map(() => 'Running'));
      await daemon().start();
      await eventually(async () => {
        const [again, ...others] = await lives(await pods());
        expect(again).toMatchObject({ uid: ended.metadata.uid, restarts: 1, ready: true, podIP: ended.status?.podIP });
        expect(others).toEqual(livesBefore.slice(1));
      }, 30_000);
      await expectTalking((await pods()).slice(0, 2));
      await cluster().kubectl.run(
        'run',
        'once',
        '--image=k8s.test/busybox:1',
        '--restart=Never',
        '--command',
        '--',
        'true',
      );
      await cluster().kubectl.run('wait', '--for=jsonpath={.status.phase}=Succeeded', 'pod/once', '--timeout=20s');
      await cluster().kubectl.run('delete', 'pod', 'once');
    }, 90_000);
  });
}
