import type { Call } from '../mesos/scheduler.ts';
import type { TaskStatus } from '../mesos/tasks.ts';
import type { Agent } from './agents.ts';
import type { Task } from './tasks.ts';

/** What the shell must do, in this order. */
export type Effect =
  | { do: 'call'; call: Call }
  /** Bind the pod (one that is bound gets its new task id written), tell `bound` or `bindFailed`, then `acknowledged`, and send `ack`. */
  | { do: 'bind'; task: Task; ack: Call | undefined }
  /** The task of a bound pod is over: see what became of the pod, then tell `acknowledged`, and send `ack`. */
  | { do: 'ended'; task: Task; status: TaskStatus; ack: Call | undefined }
  /** Nothing depends on this launch record any more. */
  | { do: 'erase'; record: string };

/** These calls, in order. */
export const send = (...calls: readonly (Call | undefined)[]): Effect[] =>
  calls.flatMap((call): Effect[] => (call ? [{ do: 'call', call }] : []));

/** Tasks of one agent that go out in one ACCEPT. */
export interface Launch {
  record: string;
  role: string;
  agent: Agent;
  offerIds: string[];
  tasks: Task[];
}
