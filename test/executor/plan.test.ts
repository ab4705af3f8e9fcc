import { describe, expect, test } from '@jest/globals';
import type { Container, Pod } from '../../api/kinds/pod.ts';
import { type PlanFacts, planPod } from '../../executor/plan.ts';
import type { RuntimeContainer, RuntimePod } from '../../executor/runtime.ts';
import { aPod } from './pods-for-tests.ts';

type Seen = 'running' | number;

/** `name` in the sandbox: it runs, or has ended with that code. */
const container = (name: string, seen: Seen, sandboxId = 's1', attempt = 0): RuntimeContainer => ({
  ...{ id: `${name}-${attempt}`, sandboxId, name, attempt, specHash: 'h', image: 'i', imageId: 'i', logPath: '' },
  ...(seen === 'running'
    ? { state: 'running', startedAt: 1, finishedAt: 0 }
    : { state: 'exited', startedAt: 1, finishedAt: 2, exitCode: seen }),
});

const runtimeOf = (containers: RuntimeContainer[], attempt = 1, ready = true): RuntimePod => ({
  ...{ uid: 'u', namespace: 'default', name: 'p', containers },
  sandbox: { id: `s${attempt}`, ip: '10.1.0.5', ready, createdAt: 0, attempt },
});

const facts: PlanFacts = {
  hashOf: () => 'h',
  remaining: () => 0,
  health: { isStarted: (c) => c.state === 'running', failed: () => undefined },
};

const podOf = (initContainers: Container[], restartPolicy: 'Always' | 'OnFailure' | 'Never' = 'Always'): Pod =>
  aPod({}, { initContainers, containers: [{ name: 'main', image: 'i' }], restartPolicy });
const sidecar = (name: string): Container => ({ name, image: 'i', restartPolicy: 'Always' });
const init = (name: string): Container => ({ name, image: 'i' });

const startsOf = (pod: Pod, runtime: RuntimePod) =>
  planPod(pod, runtime, facts).start.map((start) => `${start.container.name} ${start.attempt}`);
const stopsOf = (pod: Pod, runtime: RuntimePod) => planPod(pod, runtime, facts).stop.map((stop) => stop.container.name);

describe('in a new sandbox', () => {
  test.each(['Always', 'OnFailure', 'Never'] as const)(
    'init containers run again, one after the other, before all else (restartPolicy %s)',
    (policy) => {
      const pod = podOf([init('one'), sidecar('side'), init('two')], policy);
      const old = [container('one', 0, 's0'), container('side', 137, 's0'), container('two', 0, 's0')];
      const main = policy === 'Never' ? [] : [container('main', 137, 's0')];
      expect(startsOf(pod, runtimeOf([...old, ...main]))).toEqual(['one 1']);
      const first = [...old, ...main, container('one', 0, 's1', 1)];
      expect(startsOf(pod, runtimeOf(first))).toEqual(['side 1']);
      const second = [...first, container('side', 'running', 's1', 1)];
      expect(startsOf(pod, runtimeOf(second))).toEqual(['two 1']);
      const third = [...second, container('two', 0, 's1', 1)];
      expect(startsOf(pod, runtimeOf(third))).toEqual([policy === 'Never' ? 'main 0' : 'main 1']);
    },
  );

  test('one that is there while they run again is waited for', () => {
    const seen = [container('one', 0, 's0'), container('main', 1, 's0'), container('one', 'running', 's1', 1)];
    expect(startsOf(podOf([init('one')]), runtimeOf(seen))).toEqual([]);
  });
});

test('in the sandbox that they ran in they do not run again, whatever becomes of the containers', () => {
  const seen = [container('one', 0), container('main', 1)];
  expect(startsOf(podOf([init('one')]), runtimeOf(seen))).toEqual(['main 1']);
});

describe('a container that has ended', () => {
  const rule = (operator: 'In' | 'NotIn', ...values: number[]) => ({
    action: 'Restart',
    exitCodes: { operator, values },
  });
  const cases: [string, 'Always' | 'OnFailure' | 'Never', Partial<Container>, Record<number, boolean>][] = [
    ['by the policy of its pod', 'OnFailure', {}, { 0: false, 1: true }],
    ['by its own policy', 'Never', { restartPolicy: 'OnFailure' }, { 0: false, 1: true }],
    ['never, whatever its pod says', 'Always', { restartPolicy: 'Never' }, { 0: false, 1: false }],
    [
      'after one of these codes',
      'Always',
      { restartPolicy: 'Never', restartPolicyRules: [rule('In', 42, 0)] },
      { 0: true, 1: false, 42: true },
    ],
    [
      'after other codes than these',
      'Never',
      { restartPolicy: 'Never', restartPolicyRules: [rule('NotIn', 42)] },
      { 0: true, 42: false },
    ],
    [
      'by its policy where no rule is of the code',
      'Never',
      { restartPolicy: 'OnFailure', restartPolicyRules: [rule('In', 0)] },
      { 0: true, 7: true },
    ],
  ];
  test.each(cases)('is started again %s', (_words, policy, more, codes) => {
    const pod = aPod({}, { containers: [{ name: 'main', image: 'i', ...more }], restartPolicy: policy });
    for (const [code, isAgain] of Object.entries(codes)) {
      const runtime = runtimeOf([container('main', Number(code))]);
      expect([code, startsOf(pod, runtime)]).toEqual([code, isAgain ? ['main 1'] : []]);
      expect([code, planPod(pod, runtime, facts).done]).toEqual([code, !isAgain]);
    }
  });
});

describe('a pod that is over', () => {
  const pod = podOf([sidecar('first'), sidecar('second')], 'Never');

  test('ends its sidecars one after the other, the last one first', () => {
    const running = [container('first', 'running'), container('second', 'running')];
    expect(stopsOf(pod, runtimeOf([...running, container('main', 0)]))).toEqual(['second']);
    expect(stopsOf(pod, runtimeOf([running[0]!, container('second', 0), container('main', 0)]))).toEqual(['first']);
    const ended = runtimeOf([container('first', 0), container('second', 0), container('main', 0)]);
    expect(planPod(pod, ended, facts)).toMatchObject({ stop: [], done: true });
  });

  test('ends its containers before them', () => {
    const gone = { ...pod, status: { phase: 'Failed' as const } };
    const running = ['first', 'second', 'main'].map((name) => container(name, 'running'));
    expect(stopsOf(gone, runtimeOf(running))).toEqual(['main']);
  });
});
