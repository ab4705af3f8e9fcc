import { describe, expect, test } from '@jest/globals';
import type { Pod } from '../../api/kinds/pod.ts';
import { CrashBackoff, duration } from '../../executor/crash-backoff.ts';
import type { RuntimeContainer, RuntimePod } from '../../executor/runtime.ts';
import { podStatus } from '../../executor/status.ts';
import { statusPatch } from '../../executor/apiserver-client.ts';
import { aPod } from './pods-for-tests.ts';

const container = (name: string, attempt: number, more: Partial<RuntimeContainer>): RuntimeContainer => ({
  id: `${name}${attempt}`,
  sandboxId: 's',
  name,
  attempt,
  state: 'running',
  specHash: '',
  image: 'sha256:1',
  imageId: 'repo@sha256:1',
  startedAt: 1000,
  finishedAt: 0,
  logPath: '',
  ...more,
});
const exit = (name: string, attempt: number, exitCode: number) =>
  container(name, attempt, {
    state: 'exited',
    exitCode,
    finishedAt: 2000,
    reason: exitCode === 0 ? 'Completed' : 'Error',
  });
const runtime = (containers: RuntimeContainer[], ready = true): RuntimePod => ({
  uid: 'u',
  namespace: 'default',
  name: 'p',
  sandbox: { id: 's', ip: '10.1.0.5', ready, createdAt: 0, attempt: 0 },
  containers,
});
const status = (pod: Pod, found: RuntimePod | undefined, more = {}) =>
  podStatus({
    pod,
    runtime: found,
    runtimeName: 'containerd',
    waiting: new Map(),
    hostIps: ['10.0.0.1', 'fd00::1'],
    health: {
      isStarted: (c: RuntimeContainer) => c.state === 'running',
      isReady: (c: RuntimeContainer) => c.state === 'running',
    },
    lastWords: new Map(),
    resizes: { granted: new Map(), applied: new Map(), state: undefined },
    ended: false,
    now: 10_000,
    ...more,
  });
const two = (restartPolicy: 'Always' | 'OnFailure' | 'Never' = 'Always'): Pod =>
  aPod(
    {},
    {
      restartPolicy,
      containers: [
        { name: 'a', image: 'img' },
        { name: 'b', image: 'img' },
      ],
    },
  );

describe('the phase of a pod', () => {
  const cases: [string, 'Always' | 'OnFailure' | 'Never', RuntimeContainer[], boolean, string][] = [
    ['nothing runs yet', 'Always', [], false, 'Pending'],
    ['one of two runs', 'Always', [container('a', 0, {})], false, 'Pending'],
    ['both run', 'Always', [container('a', 0, {}), container('b', 0, {})], false, 'Running'],
    ['all ended well and will be restarted', 'Always', [exit('a', 0, 0), exit('b', 0, 0)], false, 'Running'],
    ['all ended well', 'OnFailure', [exit('a', 0, 0), exit('b', 0, 0)], false, 'Succeeded'],
    ['one failed and will be restarted', 'OnFailure', [exit('a', 0, 1), exit('b', 0, 0)], false, 'Running'],
    ['one failed for good', 'Never', [exit('a', 0, 1), exit('b', 0, 0)], false, 'Failed'],
    ['one still runs', 'Never', [exit('a', 0, 1), container('b', 0, {})], false, 'Running'],
    ['it was ended, all well', 'Always', [exit('a', 0, 0), exit('b', 0, 0)], true, 'Succeeded'],
    ['it was ended', 'Always', [exit('a', 0, 143), exit('b', 0, 0)], true, 'Failed'],
    ['it was ended before it ran', 'Always', [], true, 'Failed'],
  ];
  test.each(cases)('%s', (_words, policy, containers, ended, phase) => {
    expect(status(two(policy), runtime(containers), { ended }).phase).toBe(phase);
  });
});

test('the phase of a pod follows the policies and rules of its containers', () => {
  const rules = [{ action: 'Restart', exitCodes: { operator: 'In' as const, values: [42] } }];
  const pod = aPod({}, { containers: [{ name: 'a', restartPolicy: 'Never', restartPolicyRules: rules }] });
  const phase = (code: number) => status(pod, runtime([exit('a', 0, code)])).phase;
  expect([phase(42), phase(0), phase(1)]).toEqual(['Running', 'Succeeded', 'Failed']);
});

test('a container that crashed shows its wait, and how the last try ended', () => {
  const waiting = new Map([['a', { reason: 'CrashLoopBackOff', message: 'back-off 10s' }]]);
  const [a] = status(two(), runtime([exit('a', 1, 1), exit('a', 0, 2), container('b', 0, {})]), {
    waiting,
  }).containerStatuses!;
  expect(a).toEqual({
    name: 'a',
    state: { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 10s' } },
    lastState: {
      terminated: {
        exitCode: 1,
        reason: 'Error',
        startedAt: '1970-01-01T00:00:01Z',
        finishedAt: '1970-01-01T00:00:02Z',
        containerID: 'containerd://a1',
      },
    },
    ready: false,
    restartCount: 1,
    image: 'img',
    imageID: 'repo@sha256:1',
    containerID: 'containerd://a1',
    started: false,
  });
});

test('conditions keep the time of their last change, and those of others stay', () => {
  const pod = two();
  const first = status(pod, runtime([container('a', 0, {}), container('b', 0, {})]));
  const other = { type: 'example.com/gate', status: 'True' as const };
  const known = { ...pod, status: { ...first, conditions: [...first.conditions!, other] } };
  const second = status(known, runtime([container('a', 0, {}), exit('b', 0, 1)]), { now: 99_000 });
  const of = (type: string) => second.conditions!.find((c) => c.type === type);
  expect(of('Initialized')!.lastTransitionTime).toBe('1970-01-01T00:00:10Z');
  expect(of('Ready')).toMatchObject({
    status: 'False',
    reason: 'ContainersNotReady',
    message: 'containers with unready status: [b]',
    lastTransitionTime: '1970-01-01T00:01:39Z',
  });
  expect(of('example.com/gate')).toEqual(other);
  expect(second.startTime).toBe(first.startTime);
});

test('readiness gates are asked of their conditions', () => {
  const pod = aPod({}, { readinessGates: [{ conditionType: 'g' }], containers: [{ name: 'a' }] });
  const ready = () => status(pod, runtime([container('a', 0, {})])).conditions!.find((c) => c.type === 'Ready');
  expect(ready()).toMatchObject({ status: 'False', reason: 'ReadinessGatesNotReady' });
  pod.status = { conditions: [{ type: 'g', status: 'True' }] };
  expect(ready()!.status).toBe('True');
});

test('a container that the runtime lost keeps its count and shows that its end is unknown', () => {
  const pod = two();
  pod.status = status(pod, runtime([container('a', 3, {}), container('b', 0, {})]));
  const [a] = status(pod, undefined).containerStatuses!;
  expect(a).toMatchObject({
    restartCount: 3,
    state: { waiting: { reason: 'ContainerCreating' } },
    lastState: { terminated: { exitCode: 137, reason: 'ContainerStatusUnknown' } },
  });
});

test('before anything ran of a pod with init containers, every container waits for the pod to be initialized', () => {
  const pod = two();
  pod.spec.initContainers = [{ name: 'i', image: 'x' }];
  const { containerStatuses, initContainerStatuses } = status(pod, undefined);
  for (const { state } of [...containerStatuses!, ...initContainerStatuses!])
    expect(state).toEqual({ waiting: { reason: 'PodInitializing' } });
});

test('a written status takes away what is no longer so', () => {
  const pod = { ...two(), status: { reason: 'Old', message: 'old', podIPs: [{ ip: '1' }] } };
  expect(statusPatch(pod, { phase: 'Running', podIPs: [{ ip: '2' }] })).toEqual({
    phase: 'Running',
    reason: null,
    message: null,
    podIPs: [{ ip: '2' }, { $patch: 'delete', ip: '1' }],
  });
});

test('a resize that is over takes its condition away, of those no others', () => {
  const old = (type: string) => ({ type, status: 'True' as const });
  const pod = { ...two(), status: { conditions: [old('PodResizePending'), old('example.com/gate')] } };
  const after = status(pod, undefined);
  expect(after.conditions!.map(({ type }) => type)).not.toContain('PodResizePending');
  const { conditions } = statusPatch(pod, after) as { conditions: object[] };
  expect(conditions).toContainEqual({ $patch: 'delete', type: 'PodResizePending' });
  expect(conditions).toContainEqual(old('example.com/gate'));
});

test('restarts wait longer each time, at most 5 minutes, and start over after 10 minutes of peace', () => {
  const backoff = new CrashBackoff();
  const waits: number[] = [];
  let now = 0;
  for (let i = 0; i < 8; i++) {
    const failedAt = now;
    waits.push(backoff.remaining('k', failedAt, now) / 1000);
    now += backoff.remaining('k', failedAt, now);
    backoff.tried('k', failedAt, now);
    now += 1000;
  }
  expect(waits).toEqual([0, 10, 20, 40, 80, 160, 300, 300]);
  expect(backoff.remaining('k', now + 601_000, now + 601_000)).toBe(0);
  expect([duration(10_000), duration(80_000), duration(300_000)]).toEqual(['10s', '1m20s', '5m0s']);
});
