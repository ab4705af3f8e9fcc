import type { ExecutorInfo } from '../mesos/tasks.ts';
import type { Work } from './state.ts';

/** A command task runs under an executor of its own, named as the task. */
export function commandExecutor({ tasks }: Work, frameworkId: string): ExecutorInfo {
  const [task] = tasks as [Work['tasks'][0]];
  const name = `Command Executor (Task: ${task.task_id.value}) (Command: sh -c '${task.command?.value ?? ''}')`;
  return {
    executor_id: { value: task.task_id.value },
    framework_id: { value: frameworkId },
    name,
    ...(task.command?.uris ? { command: { uris: task.command.uris } } : {}),
  };
}
