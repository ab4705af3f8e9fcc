import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mock } from 'node:test';
import type { Container, Pod, PodSpec } from '../../api/kinds/pod.ts';
import { timestamp } from '../../api/meta.ts';
import { type TestKubelet, testKubelet } from './kubelet-for-tests.ts';
import { aPod, eventually } from './pods-for-tests.ts';

let kubelet: TestKubelet;
beforeAll(() => {
  kubelet = testKubelet();
});
afterAll(() => kubelet.close());

const sh = (script: string, more: Partial<Container> = {}): Container => ({
  name: 'c',
  image: 'none',
  command: ['sh', '-c', script],
  ...more,
});
const run = (containers: Container[], spec: Partial<PodSpec> = {}): Pod => {
  const pod = aPod({}, { ...spec, containers });
  kubelet.pods.bound(pod);
  kubelet.pods.admit(pod.metadata.uid!);
  return pod;
};
const until = (pod: Pod, what: string, is: (status: NonNullable<ReturnType<TestKubelet['status']>>) => unknown) =>
  eventually(() => {
    const status = kubelet.status(pod);
    return status && is(status) ? status : undefined;
  }, what);
const logOf = (pod: Pod, container = 'c', attempt = 0) => {
  const { namespace, name, uid } = pod.metadata;
  const text = readFileSync(
    join(kubelet.directory, 'logs', `${namespace!}_${name!}_${uid!}`, container, `${attempt}.log`),
    'utf8',
  );
  return text
    .trimEnd()
    .split('\n')
    .map((line) => line.split(' ').slice(3).join(' '));
};

describe('a pod', () => {
  test('of plain processes has no image: none is told of', async () => {
    kubelet.apiserver.events.splice(0);
    const pod = run([sh('sleep 100', { imagePullPolicy: 'Always' })]);
    await until(pod, 'running', ({ containerStatuses }) => containerStatuses?.[0]?.state.running);
    await eventually(() => kubelet.apiserver.events.some((said) => said.startsWith('Normal Started')), 'the event');
    expect(kubelet.apiserver.events.filter((said) => /pull/i.test(said))).toEqual([]);
  });

  test('waits for its task, then runs and is ready', async () => {
    const pod = aPod({}, { containers: [sh('sleep 100')] });
    kubelet.pods.bound(pod);
    await new Promise((resolve) => setImmediate(resolve));
    expect(kubelet.status(pod)).toBeUndefined();
    kubelet.pods.admit(pod.metadata.uid!);
    const status = await until(pod, 'Running', (s) => s.phase === 'Running');
    expect(status).toMatchObject({ podIP: '127.0.0.1', hostIP: '127.0.0.1', qosClass: 'BestEffort' });
    expect(Object.fromEntries(status.conditions!.map((c) => [c.type, c.status]))).toEqual({
      PodReadyToStartContainers: 'True',
      Initialized: 'True',
      Ready: 'True',
      ContainersReady: 'True',
      PodScheduled: 'True',
    });
    expect(status.containerStatuses).toEqual([
      expect.objectContaining({
        name: 'c',
        ready: true,
        started: true,
        restartCount: 0,
        containerID: expect.stringMatching(/^process:\/\//),
      }),
    ]);
    expect(kubelet.reports.get(pod.metadata.uid!)).toMatchObject({ phase: 'Running', podIp: '127.0.0.1' });
  });

  test('succeeds or fails for good with restartPolicy Never', async () => {
    const good = run([sh('exit 0')], { restartPolicy: 'Never' });
    const bad = run([sh('exit 3'), sh('exit 0', { name: 'd' })], { restartPolicy: 'Never' });
    await until(good, 'Succeeded', (s) => s.phase === 'Succeeded');
    const failed = await until(bad, 'Failed', (s) => s.phase === 'Failed');
    expect(failed.containerStatuses![0]!.state.terminated).toMatchObject({ exitCode: 3, reason: 'Error' });
    expect(failed.conditions!.find((c) => c.type === 'Ready')).toMatchObject({ status: 'False', reason: 'PodFailed' });
    expect(kubelet.reports.get(bad.metadata.uid!)).toMatchObject({
      phase: 'Failed',
      message: expect.stringContaining('exit code 3'),
    });
  });

  describe('whose sandbox takes long to go', () => {
    const going = new Map<string, () => void>();
    beforeAll(() => {
      const { runtime } = kubelet;
      const stopSandbox = runtime.stopSandbox.bind(runtime);
      mock.method(runtime, 'stopSandbox', async (id: string) => {
        const uid = (await runtime.pods()).find(({ sandbox }) => sandbox.id === id)!.uid;
        await new Promise<void>((resolve) => going.set(uid, resolve));
        return stopSandbox(id);
      });
    });
    afterAll(() => mock.restoreAll());
    const goes = (pod: Pod) => eventually(() => going.get(pod.metadata.uid!), 'the end of its sandbox');

    test('is told to have ended before that; Mesos, which gives its share to others, after', async () => {
      const pod = run([sh('exit 3')], { restartPolicy: 'Never' });
      const go = await goes(pod);
      const told = await until(pod, 'Failed', (s) => s.phase === 'Failed');
      expect(told.containerStatuses![0]!.state.terminated).toMatchObject({ exitCode: 3 });
      expect(kubelet.reports.get(pod.metadata.uid!)).not.toMatchObject({ phase: 'Failed' });
      kubelet.pods.bound({ ...pod, status: told }); // as a watch brings it back
      go();
      const report = await eventually(() => {
        const last = kubelet.reports.get(pod.metadata.uid!);
        return last?.phase === 'Failed' ? last : undefined;
      }, 'Mesos to be told');
      expect(report.message).toContain('exit code 3');
    });

    test('and is killed meanwhile stays to be looked at', async () => {
      const pod = run([sh('exit 0')], { restartPolicy: 'Never' });
      const go = await goes(pod);
      await until(pod, 'Succeeded', (s) => s.phase === 'Succeeded');
      kubelet.pods.end(pod.metadata.uid!, { graceSeconds: 0, remove: true });
      go();
      mock.restoreAll();
      await eventually(() => kubelet.reports.get(pod.metadata.uid!)?.gone, 'Mesos to be told');
      await eventually(() => !kubelet.pods.has(pod.metadata.uid!), 'its end');
      expect(kubelet.apiserver.removed).not.toContain(pod.metadata.uid!);
      expect(kubelet.status(pod)).toMatchObject({ phase: 'Succeeded' });
    });
  });

  test('what has ended is told while its sidecars are still ending; the pod has not until they have', async () => {
    const more: Partial<Container> = { volumeMounts: [{ name: 'w', mountPath: '/km-stays' }] };
    const stays = sh('trap "" TERM; touch /km-stays/up; while :; do sleep 0.05; done', more);
    const pod = run([sh('until [ -e /km-stays/up ]; do sleep 0.05; done', more)], {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 60,
      volumes: [{ name: 'w', emptyDir: {} }],
      initContainers: [{ ...stays, name: 's', restartPolicy: 'Always' }],
    });
    const told = await until(pod, 'its end', (s) => s.containerStatuses![0]!.state.terminated);
    expect(told).toMatchObject({ phase: 'Running', initContainerStatuses: [{ state: { running: {} } }] });
    kubelet.pods.end(pod.metadata.uid!, { graceSeconds: 0, remove: true });
    await until(pod, 'Succeeded', (s) => s.phase === 'Succeeded');
  });

  test('restarts what fails, waits longer each time, and tells it', async () => {
    const pod = run([sh('exit 1')], { restartPolicy: 'OnFailure' });
    const status = await until(pod, 'two restarts and a wait', (s) => {
      const [c] = s.containerStatuses!;
      return c!.restartCount >= 2 && c!.state.waiting?.reason === 'CrashLoopBackOff';
    });
    expect(status.phase).toBe('Running');
    expect(status.containerStatuses![0]!.lastState.terminated).toMatchObject({ exitCode: 1 });
    const found = (await kubelet.runtime.pods()).find((p) => p.uid === pod.metadata.uid)!;
    expect(found.containers.length).toBeLessThanOrEqual(3); // the newest two, and perhaps one that is being removed
    expect(kubelet.apiserver.events).toContainEqual(
      expect.stringContaining('Warning BackOff Back-off restarting failed container c'),
    );
  });

  test('with another image has not failed yet: it is tried at once', async () => {
    const slow = testKubelet({ backoff: 60_000 });
    try {
      const pod = aPod({}, { containers: [sh('exit 1')] });
      slow.pods.bound(pod);
      slow.pods.admit(pod.metadata.uid!);
      const restarts = (count: number) => () => slow.status(pod)?.containerStatuses?.[0]?.restartCount === count;
      await eventually(restarts(1), 'the restart that does not wait');
      await eventually(() => slow.status(pod)?.containerStatuses?.[0]?.state.waiting, 'the wait');
      slow.pods.bound({ ...pod, spec: { ...pod.spec, containers: [sh('exit 1', { image: 'another' })] } });
      await eventually(restarts(2), 'the restart with another image');
    } finally {
      await slow.close();
    }
  });

  test('runs init containers in order before the others, with sidecars beside them', async () => {
    const pod = run([sh('cat /km-work/order; sleep 100', { volumeMounts: [{ name: 'w', mountPath: '/km-work' }] })], {
      volumes: [{ name: 'w', emptyDir: {} }],
      initContainers: [
        sh('echo one >> /km-work/order', { name: 'first', volumeMounts: [{ name: 'w', mountPath: '/km-work' }] }),
        sh('sleep 100', { name: 'side', restartPolicy: 'Always' }),
        sh('echo two >> /km-work/order', { name: 'second', volumeMounts: [{ name: 'w', mountPath: '/km-work' }] }),
      ],
    });
    const status = await until(pod, 'Running', (s) => s.phase === 'Running' && s.containerStatuses![0]!.ready);
    expect(status.initContainerStatuses!.map((c) => [c.name, c.ready])).toEqual([
      ['first', true],
      ['side', true],
      ['second', true],
    ]);
    await eventually(() => logOf(pod).length === 2, 'two lines');
    expect(logOf(pod)).toEqual(['one', 'two']);
  });

  test('fails when an init container fails for good', async () => {
    const pod = run([sh('sleep 100')], { restartPolicy: 'Never', initContainers: [sh('exit 9', { name: 'i' })] });
    const status = await until(pod, 'Failed', (s) => s.phase === 'Failed');
    expect(status.containerStatuses![0]!.state.waiting?.reason).toBe('PodInitializing');
    expect(status.conditions!.find((c) => c.type === 'Initialized')).toMatchObject({ status: 'False' });
  });

  test('gets volumes and environment from config maps and secrets, once they are there', async () => {
    const pod = run(
      [
        sh('echo $WHO $(NAME) $HOME; cat /etc/km-config/greeting /etc/km-secret/deep/key /km-one', {
          env: [
            { name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
            { name: 'WHO', value: 'pod-$(NAME)' },
          ],
          volumeMounts: [
            { name: 'c', mountPath: '/etc/km-config' },
            { name: 's', mountPath: '/etc/km-secret', readOnly: true },
            { name: 'c', mountPath: '/km-one', subPath: 'greeting' },
          ],
        }),
      ],
      {
        restartPolicy: 'Never',
        volumes: [
          { name: 'c', configMap: { name: 'late' } },
          { name: 's', secret: { secretName: 'hidden', items: [{ key: 'k', path: 'deep/key', mode: 0o400 }] } },
        ],
      },
    );
    await until(
      pod,
      'waiting for the config map',
      (s) => s.containerStatuses![0]!.state.waiting?.reason === 'ContainerCreating',
    );
    await eventually(() => kubelet.apiserver.events.some((e) => e.includes('configmap "late" not found')), 'the event');
    kubelet.apiserver.configMaps.set('default/late', { metadata: {}, data: { greeting: 'hello\n' } });
    kubelet.apiserver.secrets.set('default/hidden', {
      metadata: {},
      data: { k: Buffer.from('s3cret\n').toString('base64') },
    });
    await until(pod, 'Succeeded', (s) => s.phase === 'Succeeded');
    expect(logOf(pod)).toEqual(['pod-p $(NAME) /root'.replace('$(NAME)', 'p'), 'hello', 's3cret', 'hello']);
  });

  test('waits with a reason when its environment cannot be had, or its image names no command', async () => {
    const config = run([
      sh('true', { env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'none', key: 'k' } } }] }),
    ]);
    const image = run([{ name: 'c', image: 'nginx' }]);
    const waits = (pod: Pod, reason: string) =>
      until(pod, reason, (s) => s.containerStatuses![0]!.state.waiting?.reason === reason);
    expect((await waits(config, 'CreateContainerConfigError')).containerStatuses![0]!.state.waiting!.message).toBe(
      'configmap "none" not found',
    );
    expect((await waits(image, 'CreateContainerError')).containerStatuses![0]!.state.waiting!.message).toContain(
      'give the container a command',
    );
  });

  test('refuses a volume it cannot provide, in words', async () => {
    const said = (volume: object, words: string) => {
      run([sh('true')], { volumes: [{ name: 'v', ...volume }] });
      return eventually(() => kubelet.apiserver.events.some((e) => e.includes(words)), `the event: ${words}`);
    };
    await said({ iscsi: {} }, 'volume "v" is a iscsi');
    await said({ image: { reference: 'i:1' } }, 'image "i:1" cannot be mounted: this node does not mount images');
    await said({ csi: { driver: 'd' } }, 'volumes of CSI drivers need a container runtime');
    const nfs = { server: '127.0.0.1', path: '/' };
    await said(
      { nfs },
      existsSync('/sbin/mount.nfs') ? 'mount failed' : 'this machine has no mount.nfs: install nfs-common',
    );
  });

  test('cannot leave a volume by subPath, neither by dots nor by a link', async () => {
    const host = join(kubelet.directory, 'host');
    mkdirSync(host);
    writeFileSync(join(kubelet.directory, 'outside'), 'secret');
    symlinkSync('..', join(host, 'up'));
    const volumes = [{ name: 'h', hostPath: { path: host } }];
    const pods = ['../outside', 'up/outside'].map((subPath) =>
      run([sh('cat /km-x', { volumeMounts: [{ name: 'h', mountPath: '/km-x', subPath }] })], {
        volumes,
        restartPolicy: 'Never',
      }),
    );
    for (const pod of pods)
      await until(pod, 'the refusal', (s) =>
        s.containerStatuses![0]!.state.waiting?.message?.includes('would leave the volume'),
      );
  });
});

describe('the end of a pod', () => {
  const deleted = (pod: Pod, seconds: number): Pod => ({
    ...pod,
    metadata: {
      ...pod.metadata,
      deletionTimestamp: timestamp(Date.now() + seconds * 1000),
      deletionGracePeriodSeconds: seconds,
    },
  });

  test('its object is removed before Mesos hears that its task is gone, and may end the executor', async () => {
    const pod = run([sh('sleep 1000')], { terminationGracePeriodSeconds: 0 });
    await until(pod, 'Running', (s) => s.phase === 'Running');
    const removing = mock.method(kubelet.apiserver, 'removePod', async () => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      kubelet.apiserver.removed.push(pod.metadata.uid!);
    });
    kubelet.pods.end(pod.metadata.uid!, { graceSeconds: 0, remove: true });
    await eventually(() => kubelet.reports.get(pod.metadata.uid!)?.gone, 'Mesos to be told');
    expect(kubelet.apiserver.removed).toContain(pod.metadata.uid!);
    removing.mock.restore();
  });

  test('deletion stops it gracefully, tells how it ended, removes it and leaves nothing', async () => {
    const pod = run([sh('trap "exit 0" TERM; while :; do sleep 0.05; done')], {
      volumes: [{ name: 'e', emptyDir: {} }],
    });
    await until(pod, 'Running', (s) => s.phase === 'Running');
    await new Promise((resolve) => setTimeout(resolve, 100));
    kubelet.pods.bound(deleted(pod, 30));
    await eventually(() => kubelet.apiserver.removed.includes(pod.metadata.uid!), 'the removal');
    expect(kubelet.status(pod)).toMatchObject({ phase: 'Succeeded' });
    await eventually(() => kubelet.reports.get(pod.metadata.uid!)?.gone, 'Mesos to be told');
    expect(kubelet.reports.get(pod.metadata.uid!)).toMatchObject({ phase: 'Succeeded', gone: true });
    expect((await kubelet.runtime.pods()).some((p) => p.uid === pod.metadata.uid)).toBe(false);
    for (const room of ['volumes', 'logs']) {
      const left = existsSync(join(kubelet.directory, room)) ? readdirSync(join(kubelet.directory, room)) : [];
      expect(left.filter((name) => name.includes(pod.metadata.uid!))).toEqual([]);
    }
    kubelet.pods.bound(deleted(pod, 30));
    expect(kubelet.pods.has(pod.metadata.uid!)).toBe(false);
  });

  test('a shorter grace while it waits is heard', async () => {
    const pod = run([sh('trap "" TERM; echo up; while :; do sleep 0.05; done')]);
    await until(pod, 'Running', (s) => s.phase === 'Running');
    await eventually(() => logOf(pod).includes('up'), 'the trap');
    kubelet.pods.bound(deleted(pod, 300));
    await eventually(
      () => kubelet.apiserver.events.some((e) => e === 'Normal Killing Stopping container c'),
      'the stop',
    );
    kubelet.pods.bound(deleted(pod, 1));
    await eventually(() => kubelet.apiserver.removed.includes(pod.metadata.uid!), 'the removal', 5000);
    expect(kubelet.status(pod)).toMatchObject({
      phase: 'Failed',
      containerStatuses: [{ state: { terminated: { exitCode: 137 } } }],
    });
  });

  test('a kill by Mesos ends it as a deletion does', async () => {
    const pod = run([sh('sleep 100')]);
    await until(pod, 'Running', (s) => s.phase === 'Running');
    kubelet.pods.end(pod.metadata.uid!, { graceSeconds: 1, remove: true });
    await eventually(() => kubelet.apiserver.removed.includes(pod.metadata.uid!), 'the removal');
    expect(kubelet.status(pod)).toMatchObject({
      phase: 'Failed',
      containerStatuses: [{ state: { terminated: { exitCode: 143 } } }],
    });
  });

  test('an outage of the apiserver loses no status and holds nothing up', async () => {
    const pod = run([sh('sleep 0.3')], { restartPolicy: 'Never' });
    await until(pod, 'Running', (s) => s.phase === 'Running');
    kubelet.apiserver.down = true;
    await eventually(() => kubelet.reports.get(pod.metadata.uid!)?.phase === 'Succeeded', 'Mesos to be told');
    expect(kubelet.status(pod)).toMatchObject({ phase: 'Running' });
    kubelet.apiserver.down = false;
    await until(pod, 'Succeeded', (s) => s.phase === 'Succeeded');
  });

  test('what nobody wants any more is swept', async () => {
    const pod = aPod();
    const { id } = await kubelet.runtime.createSandbox({
      pod,
      attempt: 0,
      hostname: 'p',
      logDirectory: join(kubelet.directory, 'logs/x'),
      portMappings: [],
      runtimeHandler: '',
      seccompProfiles: '',
    });
    await kubelet.pods.sweep();
    await eventually(
      async () => !(await kubelet.runtime.pods()).some((p) => p.sandbox.id === id),
      'the sandbox to be gone',
    );
  });
});
