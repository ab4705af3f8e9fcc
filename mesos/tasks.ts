/** What a framework launches and what it hears of it: tasks, executors, commands, checks, statuses. Same rules as in types.ts. */
import type {
  AgentID,
  DurationInfo,
  ExecutorID,
  FrameworkID,
  Labels,
  Resource,
  Scalar,
  TaskID,
  TimeInfo,
} from './types.ts';
import type { ContainerInfo, ContainerStatus, NetworkProtocol, Secret } from './containers.ts';

export interface CheckInfo {
  type?: 'UNKNOWN' | 'COMMAND' | 'HTTP' | 'TCP';
  command?: CheckInfoCommand;
  http?: CheckInfoHttp;
  delay_seconds?: number;
  interval_seconds?: number;
  timeout_seconds?: number;
  tcp?: CheckInfoTcp;
}

export interface CheckInfoCommand {
  command: CommandInfo;
}

export interface CheckInfoHttp {
  port: number;
  path?: string;
}

export interface CheckInfoTcp {
  port: number;
}

export interface HealthCheck {
  http?: HealthCheckHTTPCheckInfo;
  delay_seconds?: number;
  interval_seconds?: number;
  timeout_seconds?: number;
  consecutive_failures?: number;
  grace_period_seconds?: number;
  command?: CommandInfo;
  type?: 'UNKNOWN' | 'COMMAND' | 'HTTP' | 'TCP';
  tcp?: HealthCheckTCPCheckInfo;
}

export interface HealthCheckHTTPCheckInfo {
  port: number;
  path?: string;
  scheme?: string;
  statuses?: number[];
  protocol?: NetworkProtocol;
}

export interface HealthCheckTCPCheckInfo {
  port: number;
  protocol?: NetworkProtocol;
}

export interface KillPolicy {
  grace_period?: DurationInfo;
}

export interface CommandInfo {
  uris?: URI[];
  environment?: Environment;
  value?: string;
  user?: string;
  shell?: boolean;
  arguments?: string[];
}

export interface URI {
  value: string;
  executable?: boolean;
  extract?: boolean;
  cache?: boolean;
  output_file?: string;
}

export interface ExecutorInfo {
  executor_id: ExecutorID;
  data?: Uint8Array;
  resources?: Resource[];
  command?: CommandInfo;
  framework_id?: FrameworkID;
  name?: string;
  /** @deprecated */
  source?: string;
  container?: ContainerInfo;
  discovery?: DiscoveryInfo;
  shutdown_grace_period?: DurationInfo;
  labels?: Labels;
  type?: 'UNKNOWN' | 'DEFAULT' | 'CUSTOM';
}

export interface TaskInfo {
  name: string;
  task_id: TaskID;
  agent_id: AgentID;
  resources?: Resource[];
  executor?: ExecutorInfo;
  data?: Uint8Array;
  command?: CommandInfo;
  health_check?: HealthCheck;
  container?: ContainerInfo;
  labels?: Labels;
  discovery?: DiscoveryInfo;
  kill_policy?: KillPolicy;
  check?: CheckInfo;
  max_completion_time?: DurationInfo;
  limits?: Record<string, Scalar>;
}

export interface TaskGroupInfo {
  tasks?: TaskInfo[];
}

export interface Task {
  name: string;
  task_id: TaskID;
  framework_id: FrameworkID;
  executor_id?: ExecutorID;
  agent_id: AgentID;
  state: TaskState;
  resources?: Resource[];
  statuses?: TaskStatus[];
  status_update_state?: TaskState;
  status_update_uuid?: Uint8Array;
  labels?: Labels;
  discovery?: DiscoveryInfo;
  container?: ContainerInfo;
  user?: string;
  health_check?: HealthCheck;
  kill_policy?: KillPolicy;
  limits?: Record<string, Scalar>;
}

export interface TaskResourceLimitation {
  resources?: Resource[];
}

export interface CheckStatusInfo {
  type?: 'UNKNOWN' | 'COMMAND' | 'HTTP' | 'TCP';
  command?: CheckStatusInfoCommand;
  http?: CheckStatusInfoHttp;
  tcp?: CheckStatusInfoTcp;
}

export interface CheckStatusInfoCommand {
  exit_code?: number;
}

export interface CheckStatusInfoHttp {
  status_code?: number;
}

export interface CheckStatusInfoTcp {
  succeeded?: boolean;
}

export interface TaskStatus {
  task_id: TaskID;
  state: TaskState;
  data?: Uint8Array;
  message?: string;
  agent_id?: AgentID;
  timestamp?: number;
  executor_id?: ExecutorID;
  healthy?: boolean;
  source?: StatusSource;
  reason?: Reason;
  uuid?: Uint8Array;
  labels?: Labels;
  container_status?: ContainerStatus;
  unreachable_time?: TimeInfo;
  check_status?: CheckStatusInfo;
  limitation?: TaskResourceLimitation;
}

export interface Environment {
  variables?: Variable[];
}

export interface Variable {
  name: string;
  value?: string;
  type?: 'UNKNOWN' | 'VALUE' | 'SECRET';
  secret?: Secret;
}

export interface Port {
  number: number;
  name?: string;
  protocol?: string;
  visibility?: DiscoveryInfoVisibility;
  labels?: Labels;
}

export interface Ports {
  ports?: Port[];
}

export interface DiscoveryInfo {
  visibility: DiscoveryInfoVisibility;
  name?: string;
  environment?: string;
  location?: string;
  version?: string;
  ports?: Ports;
  labels?: Labels;
}

export type DiscoveryInfoVisibility = 'FRAMEWORK' | 'CLUSTER' | 'EXTERNAL';

export type TaskState =
  | 'TASK_STARTING'
  | 'TASK_RUNNING'
  | 'TASK_FINISHED'
  | 'TASK_FAILED'
  | 'TASK_KILLED'
  | 'TASK_LOST'
  | 'TASK_STAGING'
  | 'TASK_ERROR'
  | 'TASK_KILLING'
  | 'TASK_DROPPED'
  | 'TASK_UNREACHABLE'
  | 'TASK_GONE'
  | 'TASK_GONE_BY_OPERATOR'
  | 'TASK_UNKNOWN';

export type StatusSource = 'SOURCE_MASTER' | 'SOURCE_AGENT' | 'SOURCE_EXECUTOR';

export type Reason =
  | 'REASON_COMMAND_EXECUTOR_FAILED'
  | 'REASON_EXECUTOR_TERMINATED'
  | 'REASON_EXECUTOR_UNREGISTERED'
  | 'REASON_FRAMEWORK_REMOVED'
  | 'REASON_GC_ERROR'
  | 'REASON_INVALID_FRAMEWORKID'
  | 'REASON_INVALID_OFFERS'
  | 'REASON_MASTER_DISCONNECTED'
  | 'REASON_CONTAINER_LIMITATION_MEMORY'
  | 'REASON_RECONCILIATION'
  | 'REASON_AGENT_DISCONNECTED'
  | 'REASON_AGENT_REMOVED'
  | 'REASON_AGENT_RESTARTED'
  | 'REASON_AGENT_UNKNOWN'
  | 'REASON_TASK_INVALID'
  | 'REASON_TASK_UNAUTHORIZED'
  | 'REASON_TASK_UNKNOWN'
  | 'REASON_CONTAINER_PREEMPTED'
  | 'REASON_RESOURCES_UNKNOWN'
  | 'REASON_CONTAINER_LIMITATION'
  | 'REASON_CONTAINER_LIMITATION_DISK'
  | 'REASON_CONTAINER_LAUNCH_FAILED'
  | 'REASON_CONTAINER_UPDATE_FAILED'
  | 'REASON_EXECUTOR_REGISTRATION_TIMEOUT'
  | 'REASON_EXECUTOR_REREGISTRATION_TIMEOUT'
  | 'REASON_TASK_GROUP_INVALID'
  | 'REASON_TASK_GROUP_UNAUTHORIZED'
  | 'REASON_IO_SWITCHBOARD_EXITED'
  | 'REASON_TASK_CHECK_STATUS_UPDATED'
  | 'REASON_TASK_HEALTH_CHECK_STATUS_UPDATED'
  | 'REASON_TASK_KILLED_DURING_LAUNCH'
  | 'REASON_AGENT_REMOVED_BY_OPERATOR'
  | 'REASON_AGENT_REREGISTERED'
  | 'REASON_MAX_COMPLETION_TIME_REACHED'
  | 'REASON_AGENT_DRAINING';
