/** Updates that the master makes up itself: no uuid, so nobody acknowledges them. */
import type { Reason, Task, TaskState, TaskStatus } from '../mesos/tasks.ts';
import type { Framework, Master } from './state.ts';
import { tellOperators } from './operator-events.ts';

export interface Told {
  taskId: string;
  agentId: string | undefined;
  state: TaskState;
  reason: Reason;
  message: string;
  more?: Partial<TaskStatus>;
}

export const nowSeconds = (): number => Date.now() / 1000;
export const nowNanoseconds = (): bigint => BigInt(Date.now()) * 1_000_000n;
/** Milliseconds to the message that the operator API uses. */
export const timeInfo = (ms: number): { nanoseconds: bigint } => ({ nanoseconds: BigInt(Math.round(ms)) * 1_000_000n });

export function masterStatus({ taskId, agentId, state, reason, message, more }: Told): TaskStatus {
  return {
    task_id: { value: taskId },
    state,
    message,
    source: 'SOURCE_MASTER',
    reason,
    timestamp: nowSeconds(),
    ...(agentId === undefined ? {} : { agent_id: { value: agentId } }),
    ...more,
  };
}

export function tell(framework: Framework, told: Told): TaskStatus {
  const status = masterStatus(told);
  framework.stream?.send({ type: 'UPDATE', update: { status } });
  return status;
}

/** A state that frameworks without PARTITION_AWARE do not know is LOST to them. */
export const partitionState = (framework: Framework, state: TaskState): TaskState =>
  framework.capabilities.has('PARTITION_AWARE') ? state : 'TASK_LOST';

/** Of each state the last. */
export function keepStatus(task: Task, status: TaskStatus): void {
  task.state = status.state;
  task.statuses = [...(task.statuses ?? []).filter((old) => old.state !== status.state), status];
}

/** Changes a task in the master's books and tells the operators; the framework is told by the caller. */
export function moveTask(master: Master, task: Task, status: TaskStatus): void {
  keepStatus(task, status);
  tellOperators(master, {
    type: 'TASK_UPDATED',
    task_updated: { framework_id: task.framework_id, status, state: status.state },
  });
}

const terminal = new Set<TaskState>([
  'TASK_FINISHED',
  'TASK_FAILED',
  'TASK_KILLED',
  'TASK_ERROR',
  'TASK_LOST',
  'TASK_DROPPED',
  'TASK_GONE',
  'TASK_GONE_BY_OPERATOR',
]);
export const isTerminal = (state: TaskState): boolean => terminal.has(state);
