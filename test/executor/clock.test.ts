import { mock } from 'node:test';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Container, Pod } from '../../api/kinds/pod.ts';
import { CrashBackoff } from '../../executor/crash-backoff.ts';
import { type TestKubelet, testKubelet } from './kubelet-for-tests.ts';
import { aPod, eventually } from './pods-for-tests.ts';

const hour = 3_600_000;

/** The clock of this machine as the executor sees it is put forward or back; timers go on as they do. */
function jump(ms: number): void {
  const real = Date.now.bind(Date);
  mock.method(Date, 'now', () => real() + ms);
}
afterEach(() => mock.restoreAll());

test('a wait is never longer than it is, though the clock was put back', () => {
  const backoff = new CrashBackoff(10_000);
  backoff.tried('k', hour, hour);
  expect(backoff.remaining('k', hour, 1_000)).toBe(10_000);
  expect(backoff.remaining('k', hour, hour + 4_000)).toBe(6_000);
  expect(backoff.remaining('k', hour, 2 * hour)).toBe(0);
});

describe.each([
  ['forward', 2 * hour],
  ['back', -2 * hour],
])('when the clock jumps %s', (_way, ms) => {
  let kubelet: TestKubelet;
  beforeAll(() => {
    kubelet = testKubelet();
  });
  afterAll(() => kubelet.close());
  const run = (script: string, more: Partial<Container> = {}): Pod => {
    const pod = aPod({ command: ['sh', '-c', script], ...more }, { terminationGracePeriodSeconds: 5 });
    kubelet.pods.bound(pod);
    kubelet.pods.admit(pod.metadata.uid!);
    return pod;
  };
  const first = (pod: Pod) => kubelet.status(pod)?.containerStatuses?.[0];
  const ready = (pod: Pod) => eventually(() => first(pod)?.ready, 'the pod to be ready');

  test('a container that ends is started again as soon as ever', async () => {
    const pod = run('sleep 0.3; exit 1');
    await eventually(() => (first(pod)?.restartCount ?? 0) >= 2, 'restarts');
    jump(ms);
    const before = first(pod)!.restartCount;
    await eventually(() => first(pod)!.restartCount >= before + 2, 'more restarts');
  });

  test('probes go on, and a container gets its grace', async () => {
    const file = `${kubelet.directory}/well-${ms}`;
    const check = { exec: { command: ['test', '-e', file] }, periodSeconds: 1, failureThreshold: 1 };
    const pod = run(`touch ${file}; trap 'sleep 0.5; echo out > ${file}; exit 0' TERM; while :; do sleep 0.05; done`, {
      readinessProbe: check,
    });
    await ready(pod);
    jump(ms);
    const late = run(`sleep 1000`, { readinessProbe: { ...check, initialDelaySeconds: 1 } });
    await ready(late);
    kubelet.pods.end(pod.metadata.uid!, { graceSeconds: 5, remove: false });
    await eventually(() => first(pod)?.state.terminated, 'the end');
    expect(first(pod)!.state.terminated!.exitCode).toBe(0);
  });
});
