import type { ExecutorInfo } from '../mesos/tasks.ts';
import type { Work } from './state.ts';

/** A command task runs under an executor of its own, named as the task. */
export function commandExecutor({ tasks }: Work, frameworkId: string): ExecutorInfo {
  const [task] = tasks as [Work['tasks'][0]];
  const { value = '' } = task.command ?? {};
  // Mesos shows no more of it.
  const shown = value.length > 15 ? `${value.slice(0, 12)}...` : value;
  const name = `Command Executor (Task: ${task.task_id.value}) (Command: sh -c '${shown}')`;
  return {
    executor_id: { value: task.task_id.value },
    framework_id: { value: frameworkId },
    name,
    ...(task.command?.uris ? { command: { uris: task.command.uris } } : {}),
  };
}
