import { expect, test } from '@jest/globals';
import type { Deployment } from '../../api/kinds/deployment.ts';
import type { ReplicaSet } from '../../api/kinds/replica-set.ts';
import { type Stored, timestamp } from '../../api/meta.ts';
import { deploymentStatus } from '../../controllers/common/deployment-status.ts';
import { deployment } from './harness.ts';

// https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status

const now = Date.parse('2026-01-01T12:00:00Z');
const ago = (seconds: number) => timestamp(now - seconds * 1000);

const setOf = (ready: number): ReplicaSet & Stored => ({
  metadata: { name: 'web-1', uid: 'u', resourceVersion: '1' },
  spec: { replicas: 3, selector: {}, template: { spec: { containers: [] } } },
  status: { replicas: 3, readyReplicas: ready, availableReplicas: ready },
});

/** One that has three replicas, last got better so many seconds ago, and had one that was ready then. */
function webAfter(seconds: number, reason = 'ReplicaSetUpdated', spec: object = {}): Deployment {
  const times = { lastUpdateTime: ago(seconds), lastTransitionTime: ago(seconds) };
  const isLate = reason === 'ProgressDeadlineExceeded';
  const message = `ReplicaSet "web-1" ${isLate ? 'has timed out progressing' : 'is progressing'}.`;
  return {
    ...deployment('web', 3, 'x', { progressDeadlineSeconds: 60, ...spec }),
    status: {
      ...{ replicas: 3, updatedReplicas: 3, readyReplicas: 1, availableReplicas: 1 },
      conditions: [{ type: 'Progressing', status: isLate ? 'False' : 'True', reason, message, ...times }],
    },
  };
}
const progress = (web: Deployment, ready: number) => {
  const { status, again } = deploymentStatus(web, setOf(ready), [], now);
  const condition = status.conditions?.find(({ type }) => type === 'Progressing');
  return [condition?.status, condition?.reason, condition?.lastUpdateTime, again];
};

test.each<[string, Deployment, number, unknown[]]>([
  ['waits for the rest', webAfter(30), 1, ['True', 'ReplicaSetUpdated', ago(30), 31_000]],
  ['has its time anew when it gets better', webAfter(59), 2, ['True', 'ReplicaSetUpdated', ago(0), 61_000]],
  ['has failed when its time is over', webAfter(61), 1, ['False', 'ProgressDeadlineExceeded', ago(0), undefined]],
  ['stays so', webAfter(90, 'ProgressDeadlineExceeded'), 1, ['False', 'ProgressDeadlineExceeded', ago(90), undefined]],
  [
    'goes on when it gets better',
    webAfter(90, 'ProgressDeadlineExceeded'),
    2,
    ['True', 'ReplicaSetUpdated', ago(0), 61_000],
  ],
  ['is done when all are there', webAfter(90), 3, ['True', 'NewReplicaSetAvailable', ago(0), undefined]],
  [
    'counts no time while it is paused',
    webAfter(90, 'ReplicaSetUpdated', { paused: true }),
    1,
    ['Unknown', 'DeploymentPaused', ago(0), undefined],
  ],
])('a deployment %s', (_what, web, ready, expected) => expect(progress(web, ready)).toEqual(expected));

test('a set that may make no pods says so in its deployment', () => {
  const set = setOf(1);
  const failure = { type: 'ReplicaFailure', status: 'True' as const, reason: 'FailedCreate', message: 'quota' };
  const { status } = deploymentStatus(
    webAfter(1),
    { ...set, status: { ...set.status, replicas: 3, conditions: [failure] } },
    [],
    now,
  );
  expect(status.conditions?.map(({ type, reason }) => [type, reason])).toContainEqual([
    'ReplicaFailure',
    'FailedCreate',
  ]);
});
