import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { Pod, PodSpec } from '../../api/kinds/pod.ts';
import { timestamp } from '../../api/meta.ts';
import { recordOf } from '../../executor/log-record.ts';
import { podCgroup } from '../../executor/pod-cgroups.ts';
import { cgroupAt } from '../../executor/runtimes/cgroups.ts';
import type { Runtime } from '../../executor/runtime.ts';
import { busyboxImage } from './images.ts';
import { type TestKubelet, testKubelet } from './kubelet-for-tests.ts';
import { aPod, eventually } from './pods-for-tests.ts';

/** Where containers outlive the executor: what its pods see of that. */
export function describeKubeletOver(name: string, place: () => { cgroup: string; open(): Promise<Runtime> }): void {
  describe(`the kubelet logic over ${name}`, () => {
    let kubelet: TestKubelet;
    let directory: string;
    beforeAll(async () => {
      directory = mkdtempSync('/dev/shm/km-kubelet-');
      kubelet = testKubelet({ runtime: await place().open(), cgroupParent: place().cgroup, directory });
    });
    afterAll(async () => {
      await kubelet.close();
      const runtime = await place().open();
      await Promise.all((await runtime.pods()).map((pod) => runtime.removeSandbox(pod.sandbox.id)));
      await runtime.close();
      rmSync(directory, { recursive: true, force: true });
    }, 60_000);

    const run = (name: string, container: object, spec: Partial<PodSpec> = {}): Pod => {
      const pod = aPod(container, spec, name);
      kubelet.pods.bound(pod);
      kubelet.pods.admit(pod.metadata.uid!);
      return pod;
    };
    type Status = NonNullable<ReturnType<TestKubelet['status']>>;
    const until = (pod: Pod, what: string, is: (status: Status) => unknown) =>
      eventually(
        () => {
          const status = kubelet.status(pod);
          return status && is(status) ? status : undefined;
        },
        what,
        20_000,
      );

    test('another executor adopts what runs: nothing is restarted, and the status goes on', async () => {
      const script = 'if [ -e /km/once ]; then sleep 300; fi; touch /km/once; exit 1';
      const pod = run(
        'adopted',
        { command: ['sh', '-c', script], image: busyboxImage, volumeMounts: [{ name: 'v', mountPath: '/km' }] },
        { volumes: [{ name: 'v', emptyDir: {} }] },
      );
      const running = (s: Status) =>
        s.containerStatuses![0]!.restartCount === 1 && s.phase === 'Running' && s.containerStatuses![0]!.ready;
      const before = await until(pod, 'the second try to run', running);
      await kubelet.close();
      kubelet = testKubelet({ runtime: await place().open(), cgroupParent: place().cgroup, directory });
      const known = { ...pod, status: before };
      kubelet.pods.bound(known);
      await kubelet.pods.sweep();
      kubelet.pods.admit(pod.metadata.uid!);
      const after = await until(pod, 'the status of the next executor', running);
      expect(after.containerStatuses).toEqual(before.containerStatuses);
      expect(after.startTime).toBe(before.startTime);
      expect(kubelet.apiserver.events.filter((e) => e.includes('Started'))).toEqual([]);

      kubelet.pods.bound({
        ...known,
        metadata: { ...pod.metadata, deletionTimestamp: timestamp(Date.now() + 1000), deletionGracePeriodSeconds: 1 },
      });
      await eventually(() => kubelet.apiserver.removed.includes(pod.metadata.uid!), 'the removal', 20_000);
      expect((await kubelet.runtime.pods()).some((p) => p.uid === pod.metadata.uid)).toBe(false);
      expect(existsSync(cgroupAt(podCgroup(pod, place().cgroup)))).toBe(false);
    });

    test('a sandbox that is lost is made again, and its containers with it, init containers first', async () => {
      const mounts = { image: busyboxImage, volumeMounts: [{ name: 'v', mountPath: '/v' }] };
      const init = { ...mounts, name: 'init', command: ['sh', '-c', 'hostname >> /v/runs'] };
      const main = { ...mounts, name: 'c', command: ['sh', '-c', 'wc -l < /v/runs; sleep 300'] };
      const pod = run(
        'phoenix',
        {},
        { containers: [main], initContainers: [init], volumes: [{ name: 'v', emptyDir: {} }] },
      );
      await until(pod, 'Running', (s) => s.phase === 'Running' && s.podIP);
      const { sandbox } = (await kubelet.runtime.pods()).find((p) => p.uid === pod.metadata.uid)!;
      await kubelet.runtime.stopSandbox(sandbox.id);
      // A container may be tried once more in the sandbox that is going; then it comes up in the next.
      await eventually(
        async () => {
          const found = (await kubelet.runtime.pods()).find((p) => p.uid === pod.metadata.uid);
          return found?.sandbox.ready && found.sandbox.id !== sandbox.id;
        },
        'the next sandbox',
        20_000,
      );
      const again = await until(pod, 'the next try', (s) => {
        const [c] = s.containerStatuses!;
        return c!.restartCount >= 1 && c!.ready && s.podIP;
      });
      expect(again.phase).toBe('Running');
      const container = await kubelet.pods.container(pod.metadata.uid!, 'c');
      const said = () => recordOf(Buffer.from(readFileSync(container!.logPath, 'utf8').split('\n')[0]!));
      await eventually(() => said()?.text.toString().trim() === '2', 'two runs of the init container');
    });

    test('an image that cannot be had is told of, and waits with ImagePullBackOff', async () => {
      const pod = run('imageless', { image: '127.0.0.1:1/no-such:1' });
      // The first reason lasts only until the wait begins: it may be over before it is written, but it is always told.
      await until(pod, 'the wait', (s) => s.containerStatuses![0]!.state.waiting?.reason === 'ImagePullBackOff');
      expect(kubelet.apiserver.events.join('\n')).toMatch(/Warning Failed .*127\.0\.0\.1:1\/no-such:1/);
      expect(kubelet.status(pod)!.phase).toBe('Pending');
    });

    test('a pod that has ended gives its address back and keeps its log', async () => {
      const pod = run('job', { command: ['echo', 'done'], image: busyboxImage }, { restartPolicy: 'Never' });
      await until(pod, 'Succeeded', (s) => s.phase === 'Succeeded');
      await eventually(async () => {
        const found = (await kubelet.runtime.pods()).find((p) => p.uid === pod.metadata.uid);
        return found?.sandbox.ready === false;
      }, 'the sandbox to stop');
      const container = await kubelet.pods.container(pod.metadata.uid!, 'c');
      const record = recordOf(Buffer.from(readFileSync(container!.logPath, 'utf8').trimEnd()));
      expect(record).toMatchObject({ stream: 'stdout', text: Buffer.from('done') });
      expect(kubelet.apiserver.events).toContain(
        `Normal Pulled Container image "${busyboxImage}" already present on machine`,
      );
    });
  });
}
