import { describe, expect, test } from '@jest/globals';
import { goneAgentOf, isWhereabouts, Whereabouts } from '../../framework/whereabouts.ts';
import type { TaskStatus } from '../../mesos/tasks.ts';
import { callTypes, statusOf, subscribed } from './builders.ts';

describe('agents out of sight', () => {
  test('are asked about twice a minute, and at once when one has just left', () => {
    const whereabouts = new Whereabouts();
    const ask = (now: number) => whereabouts.due(() => ['a1'], now).map(({ agentId }) => agentId);
    expect(ask(1)).toEqual(['a1']);
    expect(ask(30_000)).toEqual([]);
    expect(ask(30_001)).toEqual(['a1']);
    whereabouts.soon();
    expect(ask(30_002)).toEqual(['a1']);
    expect(ask(30_003)).toEqual([]);
  });

  test('are asked about by a task that nobody runs and nobody kills', () => {
    const state = subscribed();
    const [question] = new Whereabouts().due(() => ['a1'], 0);
    expect(isWhereabouts(question!.id)).toBe(true);
    expect(callTypes(state.askFor([question!]))).toEqual(['RECONCILE']);
    expect(callTypes(state.askFor([]))).toEqual([]);
    for (const answer of ['TASK_UNKNOWN', 'TASK_GONE', 'TASK_UNREACHABLE', 'TASK_GONE_BY_OPERATOR'] as const) {
      const { uuid: _none, ...status } = statusOf(question!.id, 'a1', answer);
      expect(callTypes(state.updated(status, 0))).toEqual([]);
    }
  });

  test.each<[string, Partial<TaskStatus>, string | undefined]>([
    ['gone when an operator said so', { reason: 'REASON_AGENT_REMOVED_BY_OPERATOR' }, 'a1'],
    ['gone when the master says so on being asked', { reason: 'REASON_RECONCILIATION' }, 'a1'],
    ['gone when its machine was taken down', { state: 'TASK_LOST', reason: 'REASON_AGENT_REMOVED' }, 'a1'],
    ['there when only its executor is not', { state: 'TASK_LOST', reason: 'REASON_EXECUTOR_TERMINATED' }, undefined],
    ['there while it is drained', { reason: 'REASON_AGENT_DRAINING' }, undefined],
    ['there while it is unreachable', { state: 'TASK_UNREACHABLE', reason: 'REASON_RECONCILIATION' }, undefined],
  ])('are %s', (_what, extra, agent) => {
    expect(goneAgentOf(statusOf('t', 'a1', 'TASK_GONE_BY_OPERATOR', extra))).toBe(agent);
  });
});
