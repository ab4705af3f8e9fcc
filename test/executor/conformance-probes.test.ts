import { expect, test as one } from '@jest/globals';
import type { Container, Pod, Probe } from '../../api/kinds/pod.ts';
import { onContainerd } from './on-containerd.ts';
import { eventually } from './pods-for-tests.ts';

/* Each test has the name of a conformance test of Kubernetes 1.23 ([sig-node] Probing container), and its promise, with shorter periods. */

const test = one.concurrent;

onContainerd('probes on containerd', 24, (pods) => {
  const quick = { periodSeconds: 0.2, failureThreshold: 1 };
  const file = { exec: { command: ['cat', '/tmp/health'] } };
  const http = { httpGet: { path: '/healthz', port: 8080 } };
  const tcp = { tcpSocket: { port: 8080 } };
  const running = (script: string, more: Partial<Container>) => pods.run({ command: ['sh', '-c', script], ...more });
  const first = (pod: Pod) => pods.kubelet.status(pod)!.containerStatuses![0]!;
  const server = 'mkdir /www; echo ok > /www/healthz; httpd -f -p 8080 -h /www';

  const restarted = (pod: Pod, times = 1) =>
    pods.until(pod, `restart ${times}`, () => first(pod).restartCount >= times);
  /** Ten probes of the pod have ended so. */
  const answered = ({ metadata: { uid } }: Pod, result: 'successful' | 'failed') => {
    const isOne = ({ pod_uid, result: ended }: Record<string, string>) => pod_uid === uid && ended === result;
    const count = () => [...pods.kubelet.probeCounts.all()].find(({ labels }) => isOne(labels))?.value ?? 0;
    return eventually(() => count() >= 10 || undefined, `ten probes to be ${result}`, 30_000);
  };
  /** Was asked often enough to have been restarted, and was not. */
  const left = async (script: string, probe: Probe) => {
    const pod = running(script, { livenessProbe: { initialDelaySeconds: 1, ...quick, ...probe } });
    await pods.running(pod);
    await answered(pod, 'successful');
    expect(first(pod)).toMatchObject({ restartCount: 0, ready: true });
  };

  test('Probing container should be restarted with a exec "cat /tmp/health" liveness probe', async () => {
    const livenessProbe = { initialDelaySeconds: 1, ...quick, ...file };
    await restarted(running('echo ok > /tmp/health; sleep 3; rm /tmp/health; sleep 1000', { livenessProbe }));
  });
  test('Probing container should *not* be restarted with a exec "cat /tmp/health" liveness probe', () =>
    left('echo ok > /tmp/health; sleep 1000', file));
  test('Probing container should be restarted with a /healthz http liveness probe', async () => {
    const livenessProbe = { initialDelaySeconds: 1, ...quick, ...http };
    await restarted(running(`(sleep 3; rm /www/healthz) & ${server}`, { livenessProbe }));
  });
  test('Probing container should *not* be restarted with a /healthz http liveness probe', () => left(server, http));
  test('Probing container should *not* be restarted with a tcp:8080 liveness probe', () => left(server, tcp));
  test('Probing container should have monotonically increasing restart count', async () => {
    const livenessProbe = { ...quick, ...file };
    const pod = running('sleep 1000', { livenessProbe });
    for (const times of [1, 2, 3, 4]) await restarted(pod, times);
    expect(first(pod).restartCount).toBeGreaterThanOrEqual(4);
  });

  test('Probing container with readiness probe should not be ready before initial delay and never restart', async () => {
    const pod = running(server, { readinessProbe: { initialDelaySeconds: 3, ...quick, ...http } });
    const status = await pods.running(pod);
    const [{ startedAt }, { lastTransitionTime }] = [
      status.containerStatuses![0]!.state.running!,
      status.conditions!.find(({ type }) => type === 'Ready')!,
    ];
    // Times are whole seconds.
    expect(Date.parse(lastTransitionTime!) - Date.parse(startedAt!)).toBeGreaterThanOrEqual(2_000);
    expect(first(pod).restartCount).toBe(0);
  });
  test('Probing container with readiness probe that fails should never be ready and never restart', async () => {
    const pod = running('sleep 1000', { readinessProbe: { ...quick, exec: { command: ['false'] } } });
    await pods.told(/Readiness probe failed/);
    await answered(pod, 'failed');
    expect(first(pod)).toMatchObject({ ready: false, restartCount: 0 });
  });
});
