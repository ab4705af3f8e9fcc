/** RECONCILE: what the master answers about a task it is asked for; the first rule that fits. */
import type { CallReconcileOperationsOperation } from '../mesos/scheduler.ts';
import type { OperationState, OperationStatus } from '../mesos/offers.ts';
import type { Task } from '../mesos/tasks.ts';
import type { Framework, Master } from './state.ts';
import { partitionState, tell } from './status.ts';

export interface Asked {
  task_id: { value: string };
  agent_id?: { value: string };
}

/** Explicit: one answer a task, or silence while its agent may still come back. Implicit (no tasks): every live task. */
export function reconcile(master: Master, framework: Framework, asked: readonly Asked[]): void {
  if (asked.length === 0) for (const { task } of framework.tasks.values()) tellLatest(framework, task);
  for (const one of asked) answerOne(master, framework, one);
}

export function answerOne(master: Master, framework: Framework, { task_id, agent_id }: Asked): void {
  const record = framework.tasks.get(task_id.value);
  if (record) return tellLatest(framework, record.task);
  const agentId = agent_id?.value;
  const mayComeBack = agentId === undefined ? master.recovered.size > 0 : master.recovered.has(agentId);
  if (mayComeBack) return;
  const told = { taskId: task_id.value, agentId, reason: 'REASON_RECONCILIATION' as const };
  const say = (state: Parameters<typeof partitionState>[1], message: string, more = {}) =>
    tell(framework, { ...told, state: partitionState(framework, state), message: `Reconciliation: ${message}`, more });
  if (agentId !== undefined && master.agents.has(agentId)) say('TASK_GONE', 'Task is unknown to the agent');
  else if (agentId !== undefined && master.registry.unreachable.has(agentId)) {
    const nanoseconds = master.registry.unreachable.get(agentId)!;
    say('TASK_UNREACHABLE', 'Task is unreachable', { unreachable_time: { nanoseconds } });
  } else if (agentId !== undefined && master.registry.gone.has(agentId)) say('TASK_GONE_BY_OPERATOR', 'Task is gone');
  else say('TASK_UNKNOWN', 'Task is unknown');
}

/** What is known of an operation, else what its agent allows to say. Without any asked for: all that are known. */
export function reconcileOperations(
  master: Master,
  framework: Framework,
  asked: readonly CallReconcileOperationsOperation[],
): void {
  const { unreachable, gone } = master.registry;
  const verdict = (agent: string | undefined): [OperationState, string] => {
    if (agent === undefined) return ['OPERATION_UNKNOWN', "Operation is unknown and no 'agent_id' was provided"];
    if (master.agents.has(agent)) return ['OPERATION_UNKNOWN', 'Operation is unknown'];
    if (master.recovered.has(agent)) return ['OPERATION_RECOVERING', 'Agent is recovered'];
    if (unreachable.has(agent)) return ['OPERATION_UNREACHABLE', 'Agent is unreachable'];
    if (gone.has(agent)) return ['OPERATION_GONE_BY_OPERATOR', 'Agent is gone'];
    return ['OPERATION_UNKNOWN', 'Both operation and agent are unknown'];
  };
  const known = [...master.operations.values()].filter((one) => one.framework_id?.value === framework.id);
  const tell = (status: OperationStatus) =>
    framework.stream?.send({ type: 'UPDATE_OPERATION_STATUS', update_operation_status: { status } });
  if (asked.length === 0) for (const { latest_status } of known) tell(latest_status);
  for (const { operation_id, agent_id } of asked) {
    const its = known.find(({ info }) => info.id?.value === operation_id.value);
    if (its) {
      tell(its.latest_status);
      continue;
    }
    const [state, message] = verdict(agent_id?.value);
    tell({
      operation_id,
      state,
      message: `Reconciliation: ${message}`,
      ...(agent_id ? { agent_id } : {}),
    });
  }
}

function tellLatest(framework: Framework, task: Task): void {
  const last = task.statuses?.at(-1);
  tell(framework, {
    taskId: task.task_id.value,
    agentId: task.agent_id.value,
    state: task.status_update_state ?? task.state,
    reason: 'REASON_RECONCILIATION',
    message: 'Reconciliation: Latest task state',
    more: {
      ...(task.executor_id ? { executor_id: task.executor_id } : {}),
      ...(last?.healthy === undefined ? {} : { healthy: last.healthy }),
      ...(last?.check_status ? { check_status: last.check_status } : {}),
      ...(last?.container_status ? { container_status: last.container_status } : {}),
    },
  });
}
