/** Calls and events of the v1 executor API: POST /api/v1/executor of the agent. */
import type { AgentInfo, ContainerID, ExecutorID, FrameworkID, FrameworkInfo, TaskID } from './types.ts';
import type { ExecutorInfo, KillPolicy, TaskGroupInfo, TaskInfo, TaskStatus } from './tasks.ts';

export type Call =
  | { type: 'SUBSCRIBE'; executor_id: ExecutorID; framework_id: FrameworkID; subscribe: CallSubscribe }
  | { type: 'UPDATE'; executor_id: ExecutorID; framework_id: FrameworkID; update: CallUpdate }
  | { type: 'MESSAGE'; executor_id: ExecutorID; framework_id: FrameworkID; message: CallMessage }
  | { type: 'HEARTBEAT'; executor_id: ExecutorID; framework_id: FrameworkID };

export type Event =
  | { type: 'SUBSCRIBED'; subscribed: EventSubscribed }
  | { type: 'LAUNCH'; launch: EventLaunch }
  | { type: 'KILL'; kill: EventKill }
  | { type: 'ACKNOWLEDGED'; acknowledged: EventAcknowledged }
  | { type: 'MESSAGE'; message: EventMessage }
  | { type: 'ERROR'; error: EventError }
  | { type: 'SHUTDOWN' }
  | { type: 'LAUNCH_GROUP'; launch_group: EventLaunchGroup }
  | { type: 'HEARTBEAT' }
  | { type: 'UNKNOWN' };

export interface EventSubscribed {
  executor_info: ExecutorInfo;
  framework_info: FrameworkInfo;
  agent_info: AgentInfo;
  container_id?: ContainerID;
}

export interface EventLaunch {
  task: TaskInfo;
}

export interface EventLaunchGroup {
  task_group: TaskGroupInfo;
}

export interface EventKill {
  task_id: TaskID;
  kill_policy?: KillPolicy;
}

export interface EventAcknowledged {
  task_id: TaskID;
  uuid: Uint8Array;
}

export interface EventMessage {
  data: Uint8Array;
}

export interface EventError {
  message: string;
}

export interface CallSubscribe {
  unacknowledged_tasks?: TaskInfo[];
  unacknowledged_updates?: CallUpdate[];
}

export interface CallUpdate {
  status: TaskStatus;
}

export interface CallMessage {
  data: Uint8Array;
}
