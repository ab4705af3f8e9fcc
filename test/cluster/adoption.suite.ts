import { beforeAll, describe, expect, test } from '@jest/globals';
import { annotations } from '../../api/kinds/names.ts';
import { Pod } from '../../api/kinds/pod.ts';
import type { Stored } from '../../api/meta.ts';
import { askMaster } from '../../mesos/operator.ts';
import { eventually } from '../eventually.ts';
import { type TestCluster, talkers } from './harness.ts';
import { executorsOf, isAlive, processesOf } from './processes.ts';

/** What outlives what, where containers are a daemon's. */
export function describeAdoption(
  cluster: () => TestCluster,
  daemon: () => { kill(): Promise<void>; start(): Promise<void>; powerOff(...directories: string[]): Promise<void> },
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

    test('kill -9 of a Mesos agent leaves its pods running; its executor subscribes again and says what ended meanwhile', async () => {
      const before = await pods();
      const { node } = executorsOf(cluster()).find((one) => before.some(({ spec }) => spec.nodeName === one.node))!;
      const pidOf = () => executorsOf(cluster()).find((one) => one.node === node)?.pid;
      const pid = pidOf();
      const [goes, ...stays] = before.filter(({ spec }) => spec.nodeName === node);
      const livesBefore = await lives(stays);
      await fault('crashAgent', node);
      await cluster().kubectl.run('delete', 'pod', goes!.metadata.name, '--timeout=20s');
      expect(await lives(stays)).toEqual(livesBefore);
      await fault('restartAgent', node);
      await eventually(async () => expect(await statesOf(goes!)).toEqual(['TASK_KILLED']), 20_000);
      for (const pod of stays) expect(await statesOf(pod)).toEqual(['TASK_RUNNING']);
      expect(pidOf()).toBe(pid);
      await eventually(async () => {
        const known = new Set(stays.map(({ metadata }) => metadata.uid));
        expect(await lives((await pods()).filter(({ metadata }) => known.has(metadata.uid)))).toEqual(livesBefore);
      });
      await cluster().kubectl.run('rollout', 'status', 'deployment/steady', '--timeout=60s');
      await expectTalking(stays);
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

    test('when a machine is started anew its pods run again there, what should not does not, and of before nothing is left', async () => {
      const { kubectl } = cluster();
      const script = 'for d in disk memory; do echo . >> /$d/starts; echo $d $(wc -l < /$d/starts); done; sleep 1000';
      await kubectl.feed(JSON.stringify(withVolumes('again', 'Always', script)), 'apply', '-f', '-');
      await kubectl.feed(JSON.stringify(withVolumes('once', 'Never', script)), 'apply', '-f', '-');
      await kubectl.run('wait', '--for=condition=Ready', 'pod', '--all', '--timeout=60s');
      // Where an executor comes back: nobody else looks for what is left on an agent.
      const steady = (await pods()).find(({ metadata }) => metadata.labels?.app === 'steady')!;
      const besides = { 'kubernetes.io/hostname': steady.spec.nodeName! };
      await kubectl.feed(JSON.stringify(withVolumes('forgotten', 'Always', script, besides)), 'apply', '-f', '-');
      await kubectl.run('wait', '--for=condition=Ready', 'pod/forgotten', '--timeout=60s');
      const nodes = [...new Set((await pods()).map(({ spec }) => spec.nodeName!))];
      for (const node of nodes) await fault('crashAgent', node);
      for (const { pid } of executorsOf(cluster())) process.kill(pid, 'SIGKILL');
      await daemon().powerOff(cluster().dir);
      // Of this one nobody tells the next executor: what it left is found.
      await kubectl.run('delete', 'pod', 'forgotten', '--grace-period=0', '--force');
      const before = await pods();
      await daemon().start();
      for (const node of nodes) await fault('restartAgent', node);

      const isOnce = ({ metadata }: Known) => metadata.name === 'once';
      const after = await eventually(async () => {
        const now = await pods();
        const [lost, others] = [now.filter(isOnce), now.filter((pod) => !isOnce(pod))];
        expect(lost.map(({ status }) => status?.phase)).toEqual(['Failed']);
        expect(others.map(({ status }) => status?.containerStatuses?.[0]?.ready)).toEqual(others.map(() => true));
        for (const { metadata, status } of others) {
          const old = before.find((pod) => pod.metadata.uid === metadata.uid)?.status;
          const [then, current] = [old?.containerStatuses?.[0], status?.containerStatuses?.[0]];
          expect(current?.restartCount).toBe((then?.restartCount ?? NaN) + 1);
        }
        return now;
      }, 60_000);
      const placeOf = ({ metadata, spec }: Known) => `${metadata.uid} on ${spec.nodeName}`;
      expect(after.map(placeOf).sort()).toEqual(before.map(placeOf).sort());
      const ended = { exitCode: expect.any(Number), containerID: expect.any(String) };
      const statusOf = (name: string) => after.find(({ metadata }) => metadata.name === name)?.status;
      expect(statusOf('again')?.containerStatuses).toMatchObject([{ lastState: { terminated: ended } }]);
      expect(statusOf('once')?.containerStatuses).toMatchObject([{ restartCount: 0, state: { terminated: ended } }]);
      const events = await kubectl.run('get', 'events', '--field-selector=involvedObject.name=again');
      expect(events).toContain('SandboxChanged');
      expect(await kubectl.run('logs', 'again')).toBe('disk 2\nmemory 1\n');
      await expectTalking(after.filter(({ metadata }) => metadata.labels?.app === 'steady').slice(0, 2));
      await kubectl.run('delete', 'pod', 'again', 'once', '--timeout=20s');
    }, 180_000);

    const fault = async (kind: string, agent: string) => {
      const body = JSON.stringify({ fault: kind, agent });
      const sent = { method: 'POST', headers: { 'content-type': 'application/json' }, body };
      expect((await fetch(`${cluster().masterUrl}/devcluster/faults`, sent)).status).toBe(200);
    };

    /** Of the task that carried the pod then; it may have had others before. */
    const statesOf = async (pod: Known) => {
      const { get_tasks } = await askMaster({ url: cluster().masterUrl }, { type: 'GET_TASKS' });
      return [...(get_tasks.tasks ?? []), ...(get_tasks.completed_tasks ?? [])]
        .filter(({ task_id }) => task_id.value === taskOf(pod))
        .map(({ state }) => state);
    };
  });
}

/** A pod whose volumes are on a disk and in memory. */
const withVolumes = (name: string, restartPolicy: 'Always' | 'Never', script: string, nodeSelector = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: {
    restartPolicy,
    nodeSelector,
    terminationGracePeriodSeconds: 1,
    containers: [
      {
        name: 'main',
        image: 'k8s.test/busybox:1',
        imagePullPolicy: 'IfNotPresent',
        command: ['sh', '-c', script],
        volumeMounts: ['disk', 'memory'].map((volume) => ({ name: volume, mountPath: `/${volume}` })),
      },
    ],
    volumes: [
      { name: 'disk', emptyDir: {} },
      { name: 'memory', emptyDir: { medium: 'Memory' } },
    ],
  },
});
