import { describe, expect, test } from '@jest/globals';
import { fateOf, saidOf, whyNot } from '../../framework/fates.ts';
import type { TaskStatus } from '../../mesos/tasks.ts';
import { statusOf } from './builders.ts';

const status = (extra: Partial<TaskStatus>): TaskStatus => statusOf('pod.p.0', 'a1', 'TASK_ERROR', extra);

/** As a master words it; `data` is what executors reach the apiserver with. */
const incompatible = `ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.
------------------------------------------------------------
Existing ExecutorInfo:
executor_id {
  value: "km-test"
}
data: "{\\"server\\":\\"https://10.0.0.1:6443\\",\\"token\\":\\"abc\\"}"
`;

describe('why a task did not start', () => {
  test('is told with what Mesos says, in one line: the rest may hold what only executors may know', () => {
    const why = 'ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.';
    expect(whyNot(status({ reason: 'REASON_TASK_INVALID', message: incompatible }))).toBe(
      `Mesos says TASK_ERROR (REASON_TASK_INVALID): ${why}`,
    );
    expect(saidOf(status({ message: incompatible }))).toBe(why);
    expect(fateOf(status({ reason: 'REASON_CONTAINER_PREEMPTED', message: incompatible }))?.message).not.toContain(
      'abc',
    );
  });

  test('is told where Mesos gives no more than the state', () => {
    expect(whyNot(status({}))).toBe('Mesos says TASK_ERROR');
    expect(fateOf(status({ reason: 'REASON_CONTAINER_PREEMPTED' }))).toEqual({
      reason: 'Preempted',
      message: 'Mesos took back what the pod used: revoked',
    });
  });
});
