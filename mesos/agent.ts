/** Calls and responses of the agent's v1 operator API: POST /api/v1. The parts of it that km speaks. */
import type {
  AgentInfo,
  ContainerID,
  DrainConfig,
  DurationInfo,
  ExecutorID,
  FileInfo,
  Flag,
  FrameworkID,
  FrameworkInfo,
  Metric,
  Resource,
  ResourceStatistics,
  Scalar,
  TimeInfo,
  VersionInfo,
} from './types.ts';
import type { CommandInfo, ExecutorInfo, Reason, Task, TaskResourceLimitation, TaskState } from './tasks.ts';
import type { ContainerInfo, ContainerStatus, TTYInfo } from './containers.ts';

export type Call =
  | { type: 'GET_HEALTH' }
  | { type: 'GET_FLAGS' }
  | { type: 'GET_VERSION' }
  | { type: 'GET_METRICS'; get_metrics?: CallGetMetrics }
  | { type: 'GET_LOGGING_LEVEL' }
  | { type: 'SET_LOGGING_LEVEL'; set_logging_level: CallSetLoggingLevel }
  | { type: 'LIST_FILES'; list_files: CallListFiles }
  | { type: 'READ_FILE'; read_file: CallReadFile }
  | { type: 'GET_STATE' }
  | { type: 'GET_CONTAINERS'; get_containers?: CallGetContainers }
  | { type: 'GET_FRAMEWORKS' }
  | { type: 'GET_EXECUTORS' }
  | { type: 'GET_TASKS' }
  | { type: 'LAUNCH_NESTED_CONTAINER'; launch_nested_container: CallLaunchNestedContainer }
  | { type: 'WAIT_NESTED_CONTAINER'; wait_nested_container: CallWaitContainer }
  | { type: 'KILL_NESTED_CONTAINER'; kill_nested_container: CallKillContainer }
  | { type: 'REMOVE_NESTED_CONTAINER'; remove_nested_container: CallRemoveContainer }
  | { type: 'LAUNCH_NESTED_CONTAINER_SESSION'; launch_nested_container_session: CallLaunchNestedContainer }
  | { type: 'ATTACH_CONTAINER_INPUT'; attach_container_input: CallAttachContainerInput }
  | { type: 'ATTACH_CONTAINER_OUTPUT'; attach_container_output: CallAttachContainerOutput }
  | { type: 'GET_AGENT' }
  | { type: 'LAUNCH_CONTAINER'; launch_container: CallLaunchContainer }
  | { type: 'WAIT_CONTAINER'; wait_container: CallWaitContainer }
  | { type: 'KILL_CONTAINER'; kill_container: CallKillContainer }
  | { type: 'REMOVE_CONTAINER'; remove_container: CallRemoveContainer };

export type Response =
  | { type: 'GET_HEALTH'; get_health: ResponseGetHealth }
  | { type: 'GET_FLAGS'; get_flags: ResponseGetFlags }
  | { type: 'GET_VERSION'; get_version: ResponseGetVersion }
  | { type: 'GET_METRICS'; get_metrics: ResponseGetMetrics }
  | { type: 'GET_LOGGING_LEVEL'; get_logging_level: ResponseGetLoggingLevel }
  | { type: 'LIST_FILES'; list_files: ResponseListFiles }
  | { type: 'READ_FILE'; read_file: ResponseReadFile }
  | { type: 'GET_STATE'; get_state: ResponseGetState }
  | { type: 'GET_CONTAINERS'; get_containers: ResponseGetContainers }
  | { type: 'GET_FRAMEWORKS'; get_frameworks: ResponseGetFrameworks }
  | { type: 'GET_EXECUTORS'; get_executors: ResponseGetExecutors }
  | { type: 'GET_TASKS'; get_tasks: ResponseGetTasks }
  | { type: 'GET_AGENT'; get_agent: ResponseGetAgent }
  | { type: 'WAIT_NESTED_CONTAINER'; wait_nested_container: ResponseWaitContainer }
  | { type: 'WAIT_CONTAINER'; wait_container: ResponseWaitContainer };

export interface CallGetMetrics {
  timeout?: DurationInfo;
}

export interface CallSetLoggingLevel {
  level: number;
  duration: DurationInfo;
}

export interface CallListFiles {
  path: string;
}

export interface CallReadFile {
  path: string;
  offset: bigint;
  length?: bigint;
}

export interface CallGetContainers {
  show_nested?: boolean;
  show_standalone?: boolean;
}

/** The fields of its session, too. */
export interface CallLaunchNestedContainer {
  container_id: ContainerID;
  command?: CommandInfo;
  container?: ContainerInfo;
}

export type ContainerSessionCall = Omit<CallLaunchNestedContainer, 'container_id'>;

export interface CallAttachContainerInput {
  type?: 'UNKNOWN' | 'CONTAINER_ID' | 'PROCESS_IO';
  container_id?: ContainerID;
  process_io?: ProcessIO;
}

export interface CallAttachContainerOutput {
  container_id: ContainerID;
}

export interface CallLaunchContainer {
  container_id: ContainerID;
  command?: CommandInfo;
  resources?: Resource[];
  container?: ContainerInfo;
  limits?: Record<string, Scalar>;
}

export interface CallWaitContainer {
  container_id: ContainerID;
}

export interface CallKillContainer {
  container_id: ContainerID;
  signal?: number;
}

export interface CallRemoveContainer {
  container_id: ContainerID;
}

export interface ResponseGetHealth {
  healthy: boolean;
}

export interface ResponseGetFlags {
  flags?: Flag[];
}

export interface ResponseGetVersion {
  version_info: VersionInfo;
}

export interface ResponseGetMetrics {
  metrics?: Metric[];
}

export interface ResponseGetLoggingLevel {
  level: number;
}

export interface ResponseListFiles {
  file_infos?: FileInfo[];
}

export interface ResponseReadFile {
  size: bigint;
  data: Uint8Array;
}

export interface ResponseGetState {
  get_tasks?: ResponseGetTasks;
  get_executors?: ResponseGetExecutors;
  get_frameworks?: ResponseGetFrameworks;
}

export interface ResponseGetContainers {
  containers?: ResponseGetContainersContainer[];
}

export interface ResponseGetContainersContainer {
  framework_id?: FrameworkID;
  executor_id?: ExecutorID;
  executor_name?: string;
  container_id: ContainerID;
  container_status?: ContainerStatus;
  resource_statistics?: ResourceStatistics;
}

export interface ResponseGetFrameworks {
  frameworks?: ResponseGetFrameworksFramework[];
  completed_frameworks?: ResponseGetFrameworksFramework[];
}

export interface ResponseGetFrameworksFramework {
  framework_info: FrameworkInfo;
}

export interface ResponseGetExecutors {
  executors?: ResponseGetExecutorsExecutor[];
  completed_executors?: ResponseGetExecutorsExecutor[];
}

export interface ResponseGetExecutorsExecutor {
  executor_info: ExecutorInfo;
}

export interface ResponseGetTasks {
  pending_tasks?: Task[];
  queued_tasks?: Task[];
  launched_tasks?: Task[];
  terminated_tasks?: Task[];
  completed_tasks?: Task[];
}

export interface ResponseGetAgent {
  agent_info?: AgentInfo;
  drain_config?: DrainConfig;
  estimated_drain_start_time?: TimeInfo;
}

export interface ResponseWaitContainer {
  exit_status?: number;
  state?: TaskState;
  reason?: Reason;
  limitation?: TaskResourceLimitation;
  message?: string;
}

export interface ProcessIO {
  type?: 'UNKNOWN' | 'DATA' | 'CONTROL';
  data?: ProcessIOData;
  control?: ProcessIOControl;
}

export interface ProcessIOData {
  type?: 'UNKNOWN' | 'STDIN' | 'STDOUT' | 'STDERR';
  data?: Uint8Array;
}

export interface ProcessIOControl {
  type?: 'UNKNOWN' | 'TTY_INFO' | 'HEARTBEAT';
  tty_info?: TTYInfo;
  heartbeat?: ProcessIOControlHeartbeat;
}

export interface ProcessIOControlHeartbeat {
  interval?: DurationInfo;
}
