import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Container, Pod, PodSpec, PodStatus } from '../../api/kinds/pod.ts';
import type { TestKubelet } from './kubelet-for-tests.ts';
import { type PodRuns, podRuns } from './pod-runs.ts';
import { eventually } from './pods-for-tests.ts';

export interface Life {
  kubelet: TestKubelet;
  image: string;
  close(): Promise<void>;
}

/** How the pods of a kubelet live, with whatever runs their containers. */
export function describePodLife(name: string, open: () => Promise<Life>): void {
  describe(`a pod on the ${name} runtime`, () => {
    let life: Life;
    let kubelet: TestKubelet;
    let pods: PodRuns;
    beforeAll(async () => {
      life = await open();
      kubelet = life.kubelet;
      pods = podRuns(() => kubelet, life.image);
    }, 60_000);
    // Left running, pods would be probed through all the tests that follow, which took more of the processor than these do.
    afterEach(() => pods?.endAll());
    afterAll(() => life?.close(), 60_000);

    const sh = (script: string, more: Partial<Container> = {}): Container => ({
      name: 'c',
      image: life.image,
      command: ['sh', '-c', script],
      ...more,
    });
    const run = ([first, ...containers]: [Container, ...Container[]], spec: Partial<PodSpec> = {}): Pod =>
      pods.run(first, { ...spec, containers });
    const until: PodRuns['until'] = (...what) => pods.until(...what);
    const remove: PodRuns['remove'] = (...what) => pods.remove(...what);
    const told: PodRuns['told'] = (words) => pods.told(words);
    const ask: PodRuns['ask'] = (...what) => pods.ask(...what);
    const scratch: Partial<PodSpec> = { volumes: [{ name: 'w', emptyDir: {} }] };
    const volumeMounts = [{ name: 'w', mountPath: '/km-life' }];
    const quick = { periodSeconds: 0.2, failureThreshold: 1 };

    test('is ready when its readiness probe says so, and no longer than that', async () => {
      const readinessProbe = { exec: { command: ['cat', '/km-life/ready'] }, ...quick };
      const pod = run([sh('sleep 1000', { volumeMounts, readinessProbe })], scratch);
      const before = await until(pod, 'Running', (s) => s.phase === 'Running');
      expect(before.containerStatuses![0]).toMatchObject({ ready: false, started: true });
      expect(before.conditions!.find((c) => c.type === 'Ready')).toMatchObject({ reason: 'ContainersNotReady' });
      await told(/Warning Unhealthy Readiness probe failed: .*ready/);
      await ask(pod, 'touch /km-life/ready');
      await until(pod, 'ready', (s) => s.containerStatuses![0]!.ready);
      await ask(pod, 'rm /km-life/ready');
      const after = await until(pod, 'not ready', (s) => !s.containerStatuses![0]!.ready);
      expect(after.containerStatuses![0]).toMatchObject({ restartCount: 0, started: true });
    });

    test('is restarted when its liveness probe fails, with the grace that the probe gives', async () => {
      const livenessProbe = {
        exec: { command: ['test', '!', '-e', '/km-life/ill'] },
        ...quick,
        terminationGracePeriodSeconds: 1,
      };
      const pod = run([sh('trap "" TERM; while :; do sleep 0.1; done', { volumeMounts, livenessProbe })], {
        ...scratch,
        terminationGracePeriodSeconds: 600,
      });
      await until(pod, 'ready', (s) => s.containerStatuses![0]!.ready);
      await ask(pod, 'touch /km-life/ill');
      await told(/Normal Killing Container c failed liveness probe, will be restarted/);
      const status = await until(pod, 'the restart', (s) => s.containerStatuses![0]!.restartCount >= 1);
      expect(status.containerStatuses![0]!.lastState.terminated).toMatchObject({ exitCode: 137 });
      await remove(pod, 1);
    });

    test('a startup probe holds the others back, and ends what does not start', async () => {
      const command = ['test', '-e', '/km-life/up'];
      const slow = sh('sleep 1000', {
        volumeMounts,
        startupProbe: { exec: { command }, periodSeconds: 0.05, failureThreshold: 1000 },
        livenessProbe: { exec: { command }, ...quick },
      });
      const pod = run([slow], scratch);
      await until(pod, 'Running', (s) => s.phase === 'Running');
      await told(/Warning Unhealthy Startup probe failed/);
      expect(kubelet.status(pod)!.containerStatuses![0]).toMatchObject({
        started: false,
        ready: false,
        restartCount: 0,
      });
      await ask(pod, 'touch /km-life/up');
      await until(pod, 'started', (s) => s.containerStatuses![0]!.started && s.containerStatuses![0]!.ready);

      const never = { exec: { command: ['false'] }, ...quick };
      run([sh('sleep 1000', { startupProbe: never })], { restartPolicy: 'Never' });
      await told(/Normal Killing Container c failed startup probe/);
    });

    test('a probe that takes too long has failed, and its command is ended', async () => {
      const readinessProbe = {
        exec: { command: ['sleep', '987'] },
        timeoutSeconds: 1,
        periodSeconds: 60,
        failureThreshold: 1,
      };
      const pod = run([sh('sleep 1000', { readinessProbe })]);
      await told(/Readiness probe failed: command timed out: sleep 987 timed out after 1s/);
      await eventually(async () => {
        const left = await ask(pod, 'ps ax | grep "[s]leep 987" | wc -l');
        return left.trim() === '0' || undefined;
      }, 'the command to be gone');
    });

    test('waits for a sidecar to have started before it goes on', async () => {
      const side = sh('sleep 0.3; touch /km-life/side; sleep 1000', {
        name: 'side',
        restartPolicy: 'Always',
        volumeMounts,
        startupProbe: {
          exec: { command: ['test', '-e', '/km-life/side'] },
          periodSeconds: 0.05,
          failureThreshold: 1000,
        },
      });
      const pod = run([sh('ls /km-life; sleep 1000', { volumeMounts })], { ...scratch, initContainers: [side] });
      await until(pod, 'Running', (s) => s.phase === 'Running' && s.initContainerStatuses![0]!.ready);
      expect(await ask(pod, 'ls /km-life')).toBe('side\n');
    });

    test('runs postStart after the start, and preStop before the end within the grace', async () => {
      const pod = run(
        [
          sh('trap "test -e /km-life/stopping && exit 0; exit 9" TERM; while :; do sleep 0.05; done', {
            volumeMounts,
            lifecycle: {
              postStart: { exec: { command: ['sh', '-c', 'sleep 0.2; touch /km-life/started'] } },
              preStop: { exec: { command: ['sh', '-c', 'sleep 0.2; touch /km-life/stopping'] } },
            },
          }),
        ],
        { ...scratch, restartPolicy: 'Never' },
      );
      await until(pod, 'Running', (s) => s.phase === 'Running');
      expect(await ask(pod, 'ls /km-life')).toBe('started\n');
      await remove(pod, 10);
      expect(kubelet.status(pod)!.containerStatuses![0]!.state.terminated).toMatchObject({ exitCode: 0 });
    });

    test('is restarted when postStart fails, and ends though preStop hangs', async () => {
      const bad = run(
        [sh('sleep 1000', { lifecycle: { postStart: { exec: { command: ['sh', '-c', 'echo no; exit 3'] } } } })],
        {
          terminationGracePeriodSeconds: 1,
        },
      );
      await told(/Warning FailedPostStartHook PostStartHook failed: command 'sh -c echo no; exit 3' exited with 3: no/);
      await until(bad, 'the next try', (s) => s.containerStatuses![0]!.restartCount >= 1);
      const hangs = run([sh('sleep 1000', { lifecycle: { preStop: { sleep: { seconds: 500 } } } })]);
      await until(hangs, 'Running', (s) => s.phase === 'Running');
      await remove(hangs, 1);
      await told(/Warning FailedPreStopHook PreStopHook failed: it did not end within the grace period/);
    });

    test('tells what its containers left as a termination message, never more than 4 KiB', async () => {
      const never = { restartPolicy: 'Never' as const };
      const path = { terminationMessagePath: '/km-last/words' };
      const said = run([sh('printf goodbye > /km-last/words', path)], never);
      const long = run([sh('head -c 10000 /dev/zero | tr "\\0" x > /km-last/words', path)], never);
      const script = 'for i in 1 2 3; do echo line $i; done; exit 1';
      const logged = run([sh(script, { terminationMessagePolicy: 'FallbackToLogsOnError' })], never);
      const message = async (pod: Pod) => {
        const status = await until(pod, 'the end', (s) => s.phase === 'Succeeded' || s.phase === 'Failed');
        return status.containerStatuses![0]!.state.terminated!.message;
      };
      expect(await message(said)).toBe('goodbye');
      expect(await message(long)).toBe('x'.repeat(4096));
      expect(await message(logged)).toBe('line 1\nline 2\nline 3\n');
    });

    test('a termination message that is a link leads nowhere', async () => {
      const script =
        'rm -f /km-last/words; ln -s /etc/hostname /km-last/words; ln -sf /etc/hostname /km-last/words; true';
      const pod = run([sh(script, { terminationMessagePath: '/km-last/words' })], { restartPolicy: 'Never' });
      const status = await until(pod, 'the end', (s) => s.phase === 'Succeeded');
      expect(status.containerStatuses![0]!.state.terminated!.message).toBeUndefined();
    });

    test('takes in an ephemeral container, once, that does not count for its phase', async () => {
      const pod = run([sh('sleep 1000')]);
      await until(pod, 'Running', (s) => s.phase === 'Running');
      const debug = { ...sh('echo looking; exit 4', { name: 'debug' }), targetContainerName: 'c' };
      kubelet.pods.bound({ ...pod, spec: { ...pod.spec, ephemeralContainers: [debug] } });
      const status = await until(pod, 'its end', (s) => s.ephemeralContainerStatuses?.[0]?.state.terminated);
      expect(status.phase).toBe('Running');
      expect(status.ephemeralContainerStatuses).toEqual([
        expect.objectContaining({
          name: 'debug',
          restartCount: 0,
          state: { terminated: expect.objectContaining({ exitCode: 4 }) },
        }),
      ]);
      expect(status.conditions!.find((c) => c.type === 'Ready')!.status).toBe('True');
    });

    test('is given other limits while it runs, restarts only where it says so, and cannot grow beyond its task', async () => {
      const resources = (cpu: string, memory: string) => ({ requests: { cpu, memory }, limits: { cpu: '1', memory } });
      const resizePolicy = [{ resourceName: 'memory', restartPolicy: 'RestartContainer' as const }];
      const pod = run([sh('sleep 1000', { resources: resources('100m', '64Mi'), resizePolicy })]);
      await until(pod, 'Running', (s) => s.containerStatuses![0]!.resources?.requests?.cpu === '100m');
      const resize = (cpu: string, memory: string) => {
        const [container] = pod.spec.containers;
        const spec = { ...pod.spec, containers: [{ ...container!, resources: resources(cpu, memory) }] };
        kubelet.pods.bound({ ...pod, spec });
      };
      resize('50m', '64Mi');
      const shrunk = await until(pod, 'less cpu', (s) => s.containerStatuses![0]!.resources?.requests?.cpu === '50m');
      expect(shrunk.containerStatuses![0]).toMatchObject({
        restartCount: 0,
        allocatedResources: { cpu: '50m', memory: '64Mi' },
      });
      resize('50m', '32Mi');
      await until(
        pod,
        'a restart with less memory',
        (s) =>
          s.containerStatuses![0]!.restartCount === 1 && s.containerStatuses![0]!.resources?.limits?.memory === '32Mi',
      );
      resize('200m', '32Mi');
      const pending = (s: PodStatus) => s.conditions!.find(({ type }) => type === 'PodResizePending');
      const refused = await until(pod, 'the refusal', pending);
      expect(pending(refused)).toMatchObject({
        status: 'True',
        reason: 'Infeasible',
        message: expect.stringContaining('a task cannot grow'),
      });
      expect(refused.containerStatuses![0]).toMatchObject({ resources: { requests: { cpu: '50m' } } });
      resize('100m', '32Mi');
      await until(
        pod,
        'the growth back',
        (s) => !pending(s) && s.containerStatuses![0]!.resources?.requests?.cpu === '100m',
      );
    });

    test('fails when it was active too long', async () => {
      const pod = run([sh('sleep 1000')], { activeDeadlineSeconds: 1 });
      const status = await until(pod, 'Failed', (s) => s.phase === 'Failed');
      expect(status).toMatchObject({ reason: 'DeadlineExceeded', message: expect.stringContaining('deadline') });
    });
  });
}
