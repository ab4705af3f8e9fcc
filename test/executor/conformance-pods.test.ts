import { describe, expect, test as one } from '@jest/globals';
import type { Container, Pod } from '../../api/kinds/pod.ts';
import { onContainerd } from './on-containerd.ts';
import { never, onScratch, scratch } from './pod-runs.ts';
import { eventually } from './pods-for-tests.ts';

/* What containers may do, and how they end: each test has the name of a conformance test of Kubernetes 1.23 ([sig-node]), and its promise. */

const test = one.concurrent;

onContainerd('on containerd', 23, (pods) => {
  describe('ends', () => {
    const words = async (container: Container, phase: 'Succeeded' | 'Failed' = 'Succeeded') => {
      const status = await pods.ended(pods.run(container, never), phase);
      return status.containerStatuses![0]!.state.terminated!.message ?? '';
    };
    const fallback = { terminationMessagePolicy: 'FallbackToLogsOnError' as const };
    test('Container Runtime blackbox test on terminated container should report termination message if TerminationMessagePath is set as non-root user and at a non-default path', async () => {
      const path = { terminationMessagePath: '/dev/termination-custom-log', securityContext: { runAsUser: 10000 } };
      expect(await words(pods.sh('echo -n DONE > /dev/termination-custom-log', path))).toBe('DONE');
    });
    test('Container Runtime blackbox test on terminated container should report termination message from log output if TerminationMessagePolicy FallbackToLogsOnError is set', async () =>
      expect(await words(pods.sh('echo -n DONE; false', fallback), 'Failed')).toBe('DONE'));
    test('Container Runtime blackbox test on terminated container should report termination message as empty when pod succeeds and TerminationMessagePolicy FallbackToLogsOnError is set', async () =>
      expect(await words(pods.sh('echo -n DONE; true', fallback))).toBe(''));
    test('Container Runtime blackbox test on terminated container should report termination message from file when pod succeeds and TerminationMessagePolicy FallbackToLogsOnError is set', async () =>
      expect(await words(pods.sh('echo -n OK > /dev/termination-log; echo DONE', fallback))).toBe('OK'));

    test('Container Runtime blackbox test when starting a container that exits should run with the expected status', async () => {
      const script = 'echo >> /w/count; case $(wc -l < /w/count) in 1) exit 1;; 2) exit 0;; esac; sleep 1000';
      const run = (restartPolicy: 'Always' | 'OnFailure' | 'Never') =>
        pods.run(pods.sh(script, onScratch), { ...scratch, restartPolicy });
      const [always, onFailure, once] = [run('Always'), run('OnFailure'), run('Never')];
      const first = (status: Awaited<ReturnType<typeof pods.ended>>) => status.containerStatuses![0]!;
      const up = await pods.until(always, 'the third try', (s) => first(s).restartCount === 2 && first(s).ready);
      expect([up.phase, first(up).state.running]).toEqual(['Running', expect.anything()]);
      expect(first(await pods.ended(onFailure))).toMatchObject({
        restartCount: 1,
        ready: false,
        state: { terminated: { exitCode: 0 } },
      });
      expect(first(await pods.ended(once, 'Failed'))).toMatchObject({
        restartCount: 0,
        ready: false,
        state: { terminated: { exitCode: 1 } },
      });
      for (const pod of [always, onFailure, once]) await pods.remove(pod, 0);
    });

    test('Kubelet when scheduling a busybox command in a pod should print the output to logs', async () =>
      expect(await pods.outputOf("echo 'Hello World' ; sleep 0.2")).toBe('Hello World\n'));
    test('Kubelet when scheduling a busybox command that always fails in a pod should have an terminated reason', async () => {
      const pod = pods.run({ command: ['/bin/false'] });
      const status = await pods.until(
        pod,
        'its failure',
        (s) => s.containerStatuses?.[0]?.lastState.terminated ?? s.containerStatuses?.[0]?.state.terminated,
      );
      const { state, lastState } = status.containerStatuses![0]!;
      expect(state.terminated ?? lastState.terminated).toMatchObject({ exitCode: 1, reason: 'Error' });
    });
    test('Kubelet when scheduling a busybox command that always fails in a pod should be possible to delete', async () => {
      const pod = pods.run({ command: ['/bin/false'] });
      await pods.until(pod, 'its failure', (s) => s.containerStatuses![0]!.restartCount > 0);
      await pods.remove(pod, 1);
    });

    test('Pods should allow activeDeadlineSeconds to be updated', async () => {
      const pod = pods.run({}, { activeDeadlineSeconds: 600 });
      await pods.running(pod);
      pods.kubelet.pods.bound({ ...pod, spec: { ...pod.spec, activeDeadlineSeconds: 1 } });
      expect(await pods.ended(pod, 'Failed')).toMatchObject({ reason: 'DeadlineExceeded' });
    });
  });

  describe('init containers', () => {
    const init = (name: string, script = 'true') => pods.sh(script, { name });
    const complete = (pod: Pod) => {
      const status = pods.kubelet.status(pod)!;
      return status.initContainerStatuses!.map(({ name, ready, state, restartCount }) => [
        name,
        ready,
        state.terminated?.exitCode,
        restartCount,
      ]);
    };
    test('InitContainer should invoke init containers on a RestartNever pod', async () => {
      const pod = pods.run(pods.sh('true'), { ...never, initContainers: [init('init1'), init('init2')] });
      await pods.ended(pod);
      expect(complete(pod)).toEqual([
        ['init1', true, 0, 0],
        ['init2', true, 0, 0],
      ]);
    });
    test('InitContainer should invoke init containers on a RestartAlways pod', async () => {
      const pod = pods.run({}, { initContainers: [init('init1'), init('init2')] });
      await pods.running(pod);
      expect(complete(pod)).toEqual([
        ['init1', true, 0, 0],
        ['init2', true, 0, 0],
      ]);
    });
    test('InitContainer should not start app containers and fail the pod if init containers fail on a RestartNever pod', async () => {
      const pod = pods.run({}, { ...never, initContainers: [init('init1'), init('init2', 'false')] });
      const status = await pods.ended(pod, 'Failed');
      expect(complete(pod)).toEqual([
        ['init1', true, 0, 0],
        ['init2', false, 1, 0],
      ]);
      expect(status.containerStatuses![0]!.state.waiting).toMatchObject({ reason: 'PodInitializing' });
    });
    test('InitContainer should not start app containers if init containers fail on a RestartAlways pod', async () => {
      const pod = pods.run({}, { initContainers: [init('init1', 'false'), init('init2')] });
      const status = await pods.until(pod, 'the third try', (s) => s.initContainerStatuses![0]!.restartCount >= 3);
      expect(status).toMatchObject({
        phase: 'Pending',
        containerStatuses: [{ restartCount: 0, state: { waiting: { reason: 'PodInitializing' } } }],
      });
      expect(status.initContainerStatuses![1]!.state.waiting).toBeDefined();
      expect(status.conditions!.find(({ type }) => type === 'Initialized')).toMatchObject({
        status: 'False',
        reason: 'ContainersNotInitialized',
      });
    });
  });

  describe('files of the machine', () => {
    test('Kubelet when scheduling a busybox Pod with hostAliases should write entries to /etc/hosts', async () => {
      const hostAliases = [{ ip: '123.45.67.89', hostnames: ['foo', 'bar'] }];
      expect(await pods.outputOf('cat /etc/hosts', {}, { hostAliases })).toContain('123.45.67.89\tfoo\tbar\n');
    });
    test('KubeletManagedEtcHosts should test kubelet managed /etc/hosts file', async () => {
      const managed = '# Kubernetes-managed hosts file.';
      const own = pods.sh('sleep 1000', {
        name: 'own',
        volumeMounts: [{ name: 'w', mountPath: '/etc/hosts', subPath: 'hosts' }],
      });
      const makes = pods.sh('echo mine > /w/hosts', { name: 'makes', ...onScratch });
      const pod = pods.run({}, { ...scratch, initContainers: [makes], containers: [own] });
      await pods.running(pod);
      expect(await pods.ask(pod, 'cat /etc/hosts')).toContain(managed);
      expect(await pods.ask(pod, 'cat /etc/hosts', 'own')).toBe('mine\n');
      const host = pods.run({}, { hostNetwork: true });
      await pods.running(host);
      expect(await pods.ask(host, 'head -1 /etc/hosts')).not.toContain(managed);
    });
    test('Kubelet when scheduling a read only busybox container should not write to root filesystem', async () => {
      const securityContext = { readOnlyRootFilesystem: true };
      expect(await pods.outputOf('echo test > /file 2>&1; ls /file 2>&1; true', { securityContext })).toContain(
        'No such file',
      );
    });
    test('Security Context When creating a pod with readOnlyRootFilesystem should run the container with writable rootfs when readOnlyRootFilesystem=false', async () => {
      const securityContext = { readOnlyRootFilesystem: false };
      expect(await pods.outputOf('echo test > /file; cat /file', { securityContext })).toBe('test\n');
    });
  });

  describe('powers', () => {
    test('Security Context When creating a container with runAsUser should run the container with uid 65534', async () =>
      expect(await pods.outputOf('id -u', { securityContext: { runAsUser: 65534 } })).toBe('65534\n'));
    test('Security Context should support container.SecurityContext.RunAsUser And container.SecurityContext.RunAsGroup', async () =>
      expect(await pods.outputOf('id -u; id -g', { securityContext: { runAsUser: 1001, runAsGroup: 2002 } })).toBe(
        '1001\n2002\n',
      ));
    test('Security Context should support pod.Spec.SecurityContext.RunAsUser And pod.Spec.SecurityContext.RunAsGroup', async () =>
      expect(await pods.outputOf('id -u; id -g', {}, { securityContext: { runAsUser: 1001, runAsGroup: 2002 } })).toBe(
        '1001\n2002\n',
      ));
    test('Security Context When creating a pod with privileged should run the container as unprivileged when false', async () =>
      expect(
        await pods.outputOf('ip link add b0 type bridge 2>&1 || echo no', { securityContext: { privileged: false } }),
      ).toContain('Operation not permitted\nno\n'));
    test('Security Context when creating containers with AllowPrivilegeEscalation should not allow privilege escalation when false', async () =>
      expect(
        await pods.outputOf('grep NoNewPrivs /proc/self/status', {
          securityContext: { allowPrivilegeEscalation: false, runAsUser: 1000 },
        }),
      ).toBe('NoNewPrivs:\t1\n'));
    test('Sysctls should support sysctls', async () => {
      const securityContext = { sysctls: [{ name: 'kernel.shm_rmid_forced', value: '1' }] };
      expect(await pods.outputOf('cat /proc/sys/kernel/shm_rmid_forced', {}, { securityContext })).toBe('1\n');
    });
  });

  describe('hooks', () => {
    /** A web server that says what it is asked for. */
    const hearing = async () => {
      const readinessProbe = { httpGet: { path: '/', port: 8080 }, periodSeconds: 0.2 };
      const server = pods.run(
        pods.sh('mkdir /www; echo > /www/index.html; exec httpd -f -vv -p 8080 -h /www', { readinessProbe }),
      );
      const { podIP = '' } = await pods.running(server);
      const asked = (path: string) =>
        eventually(async () => (await pods.log(server)).includes(`url:/${path}\n`) || undefined, path, 20_000);
      return { ip: podIP, asked };
    };
    const calls = (host: string, path: string) => ({ httpGet: { host, path, port: 8080 } });
    const tells = (ip: string, path: string) => ({
      exec: { command: ['sh', '-c', `wget -q -O /dev/null http://${ip}:8080/${path}; true`] },
    });

    test('Container Lifecycle Hook when create a pod with lifecycle hook should execute poststart exec hook properly', async () => {
      const { ip, asked } = await hearing();
      await pods.running(pods.run({ lifecycle: { postStart: tells(ip, 'poststart-exec') } }));
      await asked('poststart-exec');
    });
    test('Container Lifecycle Hook when create a pod with lifecycle hook should execute poststart http hook properly', async () => {
      const { ip, asked } = await hearing();
      await pods.running(pods.run({ lifecycle: { postStart: calls(ip, 'poststart-http') } }));
      await asked('poststart-http');
    });
    const stops = async (preStop: (ip: string) => NonNullable<Container['lifecycle']>['preStop'], path: string) => {
      const { ip, asked } = await hearing();
      const hook = preStop(ip);
      const command = ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.1; done'];
      const pod = pods.run({ command, lifecycle: hook ? { preStop: hook } : {} });
      await pods.running(pod);
      await pods.remove(pod, 15);
      await asked(path);
    };
    test('Container Lifecycle Hook when create a pod with lifecycle hook should execute prestop exec hook properly', () =>
      stops((ip) => tells(ip, 'prestop-exec'), 'prestop-exec'));
    test('Container Lifecycle Hook when create a pod with lifecycle hook should execute prestop http hook properly', () =>
      stops((ip) => calls(ip, 'prestop-http'), 'prestop-http'));
    test('PreStop should call prestop when killing a pod', () => stops((ip) => tells(ip, 'prestop'), 'prestop'));
  });
});
