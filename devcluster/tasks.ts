/** The master's books of tasks: added by launches, moved by updates, freed at their end, forgotten when acknowledged. */
import type { ExecutorInfo, Task, TaskInfo, TaskState, TaskStatus } from '../mesos/tasks.ts';
import type { Resource } from '../mesos/types.ts';
import { add, subtract } from './resources.ts';
import { isTerminal, moveTask } from './status.ts';
import { tellOperators } from './operator-events.ts';
import type { Agent, Framework, Master, TaskRecord } from './state.ts';

/** `--max_completed_tasks_per_framework` and `--max_unreachable_tasks_per_framework` */
const maxKept = 1000;

export function hold(agent: Agent, resources: readonly Resource[]): void {
  agent.used = add(agent.used, resources);
  agent.free = undefined;
}

export function release(agent: Agent, resources: readonly Resource[]): void {
  agent.used = subtract(agent.used, resources);
  agent.free = undefined;
}

export function taskOf(info: TaskInfo, frameworkId: string, executorId: string | undefined): Task {
  const { name, task_id, agent_id, resources, labels, discovery, container, health_check, kill_policy, limits } = info;
  return {
    name,
    task_id,
    framework_id: { value: frameworkId },
    ...(executorId === undefined ? {} : { executor_id: { value: executorId } }),
    agent_id,
    state: 'TASK_STAGING',
    ...defined({ resources, labels, discovery, container, health_check, kill_policy, limits }),
  };
}

const defined = <T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };

export function addTask(master: Master, framework: Framework, agent: Agent, task: Task): TaskRecord {
  const record: TaskRecord = { task, unacknowledged: undefined, freed: false };
  framework.tasks.set(task.task_id.value, record);
  if (isTerminal(task.state)) record.freed = true;
  else hold(agent, task.resources ?? []);
  tellOperators(master, { type: 'TASK_ADDED', task_added: { task } });
  return record;
}

export const executorKey = (agentId: string, executorId: string): string => `${agentId}/${executorId}`;

export function addExecutor(framework: Framework, agent: Agent, info: ExecutorInfo): void {
  framework.executors.set(executorKey(agent.id, info.executor_id.value), { agent: agent.id, info });
  hold(agent, info.resources ?? []);
}

export function removeExecutor(framework: Framework, agent: Agent, executorId: string): void {
  const key = executorKey(agent.id, executorId);
  const executor = framework.executors.get(key);
  if (!executor) return;
  framework.executors.delete(key);
  release(agent, executor.info.resources ?? []);
}

/** An update from an agent: into the books, then on to the framework. `latest` may be ahead of the status. */
export function takeUpdate(
  master: Master,
  agentId: string,
  frameworkId: string,
  status: TaskStatus,
  latest: TaskState,
): void {
  const framework = master.frameworks.get(frameworkId);
  if (!framework) return;
  const record = framework.tasks.get(status.task_id.value);
  if (record && record.task.agent_id.value === agentId) {
    const { task } = record;
    if (status.uuid) {
      record.unacknowledged = status.uuid;
      task.status_update_uuid = status.uuid;
    }
    task.status_update_state = status.state;
    moveTask(master, task, status);
    task.state = isTerminal(latest) ? latest : status.state;
    if (isTerminal(task.state)) freeTask(master, record);
  }
  framework.stream?.send({ type: 'UPDATE', update: { status } });
}

export function freeTask(master: Master, record: TaskRecord): void {
  const agent = master.agents.get(record.task.agent_id.value);
  if (!record.freed && agent) release(agent, record.task.resources ?? []);
  record.freed = true;
}

/** A framework acknowledged; after the last update of a task that is over, the task is history. */
export function acknowledge(
  master: Master,
  framework: Framework,
  agentId: string,
  taskId: string,
  uuid: Uint8Array,
): void {
  const agent = master.agents.get(agentId);
  if (!agent) return;
  const record = framework.tasks.get(taskId);
  if (record && record.unacknowledged && Buffer.compare(record.unacknowledged, uuid) === 0) {
    record.unacknowledged = undefined;
    if (isTerminal(record.task.status_update_state ?? record.task.state)) forgetTask(master, framework, record);
  }
  if (agent.connected && !agent.partitioned) agent.link.acknowledge(framework.id, taskId, uuid);
}

export function forgetTask(master: Master, framework: Framework, record: TaskRecord): void {
  freeTask(master, record);
  framework.tasks.delete(record.task.task_id.value);
  framework.completed.push(record.task);
  if (framework.completed.length > maxKept) framework.completed.shift();
}

export function keepUnreachable(framework: Framework, task: Task): void {
  framework.unreachable.set(task.task_id.value, task);
  if (framework.unreachable.size > maxKept) framework.unreachable.delete(framework.unreachable.keys().next().value!);
}
