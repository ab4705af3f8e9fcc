import { describe, expect, test } from '@jest/globals';
import type { Deployment } from '../../api/kinds/deployment.ts';
import type { ReplicaSet } from '../../api/kinds/replica-set.ts';
import type { Stored } from '../../api/meta.ts';
import { planRollout } from '../../controllers/common/rollout.ts';
import { nextRevision, templateHash } from '../../controllers/common/revisions.ts';

const makeDeployment = (
  replicas: number,
  maxSurge: number | string = '25%',
  maxUnavailable: number | string = '25%',
  type: 'RollingUpdate' | 'Recreate' = 'RollingUpdate',
): Deployment => ({
  metadata: { name: 'd' },
  spec: {
    replicas,
    selector: {},
    template: { spec: { containers: [] } },
    strategy: type === 'Recreate' ? { type } : { type, rollingUpdate: { maxSurge, maxUnavailable } },
  },
});

const makeSet = (name: string, replicas: number, available = replicas, max?: number): ReplicaSet & Stored => ({
  metadata: {
    name,
    uid: name,
    resourceVersion: '1',
    creationTimestamp: '2026-01-01T00:00:00Z',
    ...(max === undefined ? {} : { annotations: { 'deployment.kubernetes.io/max-replicas': String(max) } }),
  },
  spec: { replicas, selector: {}, template: { spec: { containers: [] } } },
  status: { replicas, availableReplicas: available },
});

const steps = (
  deployment: Deployment,
  current: (ReplicaSet & Stored) | undefined,
  old: (ReplicaSet & Stored)[],
  oldPodsLeft = false,
) =>
  Object.fromEntries(
    planRollout(deployment, current, old, oldPodsLeft).map(({ set, replicas }) => [set.metadata.name, replicas]),
  );

describe('a rolling update', () => {
  test.each([
    // replicas, surge, unavailable, new [wanted, available], old [wanted, available] → what is scaled
    [10, '25%', '25%', [0, 0], [10, 10], { n: 3 }],
    [10, '25%', '25%', [3, 0], [10, 10], { o: 8 }],
    [10, '25%', '25%', [3, 3], [10, 10], { o: 5 }],
    [10, 0, 1, [0, 0], [10, 10], { o: 9 }],
    [10, 0, 1, [0, 0], [9, 9], { n: 1 }],
    [10, 1, 0, [1, 1], [10, 10], { o: 9 }],
    [10, 1, 0, [1, 0], [10, 10], {}],
    [10, '25%', '25%', [10, 10], [0, 0], {}],
    [4, '25%', '25%', [0, 0], [4, 0], { n: 1 }],
    [4, '25%', '25%', [1, 0], [4, 0], { o: 3 }],
    [1, '25%', '25%', [0, 0], [1, 1], { n: 1 }],
    [1, '25%', '25%', [1, 0], [1, 1], {}],
    [1, '25%', '25%', [1, 1], [1, 1], { o: 0 }],
  ] as const)(
    'of %i with surge %s and unavailable %s: new %j, old %j → %j',
    (replicas, surge, unavailable, fresh, old, expected) => {
      const allowed = replicas + (typeof surge === 'number' ? surge : Math.ceil((replicas * 25) / 100));
      expect(
        steps(makeDeployment(replicas, surge, unavailable), makeSet('n', fresh[0], fresh[1], allowed), [
          makeSet('o', old[0], old[1], allowed),
        ]),
      ).toEqual(expected);
    },
  );

  test('keeps its proportions when it is resized half way', () => {
    // 10 → 20 while 5 new and 8 old pods are there under a limit of 13: the new limit is 25.
    const result = steps(makeDeployment(20), makeSet('n', 5, 5, 13), [makeSet('o', 8, 8, 13)]);
    expect(result.n! + result.o!).toBe(25);
    expect(result.o!).toBeGreaterThan(result.n!);
    expect(result.n!).toBeGreaterThan(5);
  });
});

test('Recreate goes to zero first, waits for the pods, then starts anew', () => {
  const deployment = makeDeployment(3, 0, 0, 'Recreate');
  expect(steps(deployment, makeSet('n', 0, 0, 3), [makeSet('o', 3, 3, 3)])).toEqual({ o: 0 });
  expect(steps(deployment, makeSet('n', 0, 0, 3), [makeSet('o', 0, 0, 3)], true)).toEqual({});
  expect(steps(deployment, makeSet('n', 0, 0, 3), [makeSet('o', 0, 0, 3)])).toEqual({ n: 3 });
});

test('a template has one hash, whatever the order of its fields, and another after a collision', () => {
  const a = { metadata: { labels: { a: '1', b: '2' } }, spec: { containers: [{ name: 'c', image: 'x' }] } };
  const b = { spec: { containers: [{ image: 'x', name: 'c' }] }, metadata: { labels: { b: '2', a: '1' } } };
  expect(templateHash(a, 0)).toBe(templateHash(b, 0));
  expect(templateHash(a, 0)).not.toBe(templateHash(a, 1));
  expect(templateHash(a, 0)).toMatch(/^[a-z0-9]{10}$/);
});

test('revisions are counted beyond what a number holds, and what is no count is none', () => {
  const revised = (revision: string) => {
    const set = makeSet('s', 1);
    set.metadata.annotations = { 'deployment.kubernetes.io/revision': revision };
    return set;
  };
  expect(nextRevision([])).toBe(1n);
  expect(nextRevision([revised('3546343826724305832'), revised('7'), revised('many')])).toBe(3546343826724305833n);
});
