/** Calls, responses and events of the master's v1 operator API: POST /api/v1. */
import type { InverseOffer, Offer, Operation } from './offers.ts';
import type {
  AgentCapability,
  AgentID,
  AgentInfo,
  DrainInfo,
  DurationInfo,
  FileInfo,
  Flag,
  FrameworkID,
  FrameworkInfo,
  MachineID,
  MasterInfo,
  Metric,
  Resource,
  ResourceProviderInfo,
  Role,
  Scalar,
  TimeInfo,
  Unavailability,
  VersionInfo,
  WeightInfo,
} from './types.ts';
import type { ExecutorInfo, Task, TaskState, TaskStatus } from './tasks.ts';
import type { OfferConstraints } from './scheduler.ts';

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
  | { type: 'GET_AGENTS' }
  | { type: 'GET_FRAMEWORKS' }
  | { type: 'GET_EXECUTORS' }
  | { type: 'GET_TASKS' }
  | { type: 'GET_ROLES' }
  | { type: 'GET_WEIGHTS' }
  | { type: 'UPDATE_WEIGHTS'; update_weights: CallUpdateWeights }
  | { type: 'GET_MASTER' }
  | { type: 'SUBSCRIBE' }
  | { type: 'RESERVE_RESOURCES'; reserve_resources: CallReserveResources }
  | { type: 'UNRESERVE_RESOURCES'; unreserve_resources: CallUnreserveResources }
  | { type: 'CREATE_VOLUMES'; create_volumes: CallCreateVolumes }
  | { type: 'DESTROY_VOLUMES'; destroy_volumes: CallDestroyVolumes }
  | { type: 'GET_MAINTENANCE_STATUS' }
  | { type: 'GET_MAINTENANCE_SCHEDULE' }
  | { type: 'UPDATE_MAINTENANCE_SCHEDULE'; update_maintenance_schedule: CallUpdateMaintenanceSchedule }
  | { type: 'START_MAINTENANCE'; start_maintenance: CallStartMaintenance }
  | { type: 'STOP_MAINTENANCE'; stop_maintenance: CallStopMaintenance }
  | { type: 'GET_QUOTA' }
  | { type: 'SET_QUOTA'; set_quota: CallSetQuota }
  | { type: 'REMOVE_QUOTA'; remove_quota: CallRemoveQuota }
  | { type: 'TEARDOWN'; teardown: CallTeardown }
  | { type: 'MARK_AGENT_GONE'; mark_agent_gone: CallMarkAgentGone }
  | { type: 'GET_OPERATIONS' }
  | { type: 'GROW_VOLUME'; grow_volume: CallGrowVolume }
  | { type: 'SHRINK_VOLUME'; shrink_volume: CallShrinkVolume }
  | { type: 'UPDATE_QUOTA'; update_quota: CallUpdateQuota }
  | { type: 'DRAIN_AGENT'; drain_agent: CallDrainAgent }
  | { type: 'DEACTIVATE_AGENT'; deactivate_agent: CallDeactivateAgent }
  | { type: 'REACTIVATE_AGENT'; reactivate_agent: CallReactivateAgent };

export type Response =
  | { type: 'GET_HEALTH'; get_health: ResponseGetHealth }
  | { type: 'GET_FLAGS'; get_flags: ResponseGetFlags }
  | { type: 'GET_VERSION'; get_version: ResponseGetVersion }
  | { type: 'GET_METRICS'; get_metrics: ResponseGetMetrics }
  | { type: 'GET_LOGGING_LEVEL'; get_logging_level: ResponseGetLoggingLevel }
  | { type: 'LIST_FILES'; list_files: ResponseListFiles }
  | { type: 'READ_FILE'; read_file: ResponseReadFile }
  | { type: 'GET_STATE'; get_state: ResponseGetState }
  | { type: 'GET_AGENTS'; get_agents: ResponseGetAgents }
  | { type: 'GET_FRAMEWORKS'; get_frameworks: ResponseGetFrameworks }
  | { type: 'GET_EXECUTORS'; get_executors: ResponseGetExecutors }
  | { type: 'GET_TASKS'; get_tasks: ResponseGetTasks }
  | { type: 'GET_ROLES'; get_roles: ResponseGetRoles }
  /** Without `get_weights` when none are set. */
  | { type: 'GET_WEIGHTS'; get_weights?: ResponseGetWeights }
  | { type: 'GET_MASTER'; get_master: ResponseGetMaster }
  | { type: 'GET_MAINTENANCE_STATUS'; get_maintenance_status: ResponseGetMaintenanceStatus }
  | { type: 'GET_MAINTENANCE_SCHEDULE'; get_maintenance_schedule: ResponseGetMaintenanceSchedule }
  | { type: 'GET_QUOTA'; get_quota: ResponseGetQuota }
  | { type: 'GET_OPERATIONS'; get_operations: ResponseGetOperations };

export type Event =
  | { type: 'SUBSCRIBED'; subscribed: EventSubscribed }
  | { type: 'TASK_ADDED'; task_added: EventTaskAdded }
  | { type: 'TASK_UPDATED'; task_updated: EventTaskUpdated }
  | { type: 'AGENT_ADDED'; agent_added: EventAgentAdded }
  | { type: 'AGENT_REMOVED'; agent_removed: EventAgentRemoved }
  | { type: 'FRAMEWORK_ADDED'; framework_added: EventFrameworkAdded }
  | { type: 'FRAMEWORK_UPDATED'; framework_updated: EventFrameworkUpdated }
  | { type: 'FRAMEWORK_REMOVED'; framework_removed: EventFrameworkRemoved }
  | { type: 'HEARTBEAT' }
  | { type: 'UNKNOWN' };

export interface Window {
  machine_ids?: MachineID[];
  unavailability: Unavailability;
}

export interface InverseOfferStatus {
  status: InverseOfferStatusStatus;
  framework_id: FrameworkID;
  timestamp: TimeInfo;
}

export interface QuotaInfo {
  role?: string;
  principal?: string;
  guarantee?: Resource[];
}

export interface CallGetMetrics {
  timeout?: DurationInfo;
}

export interface Schedule {
  windows?: Window[];
}

export interface QuotaRequest {
  force?: boolean;
  role?: string;
  guarantee?: Resource[];
}

export interface CallSetLoggingLevel {
  level: number;
  duration: DurationInfo;
}

export interface QuotaConfig {
  role: string;
  guarantees?: Record<string, Scalar>;
  limits?: Record<string, Scalar>;
}

export interface ClusterStatus {
  draining_machines?: ClusterStatusDrainingMachine[];
  down_machines?: MachineID[];
}

export interface CallListFiles {
  path: string;
}

export interface ClusterStatusDrainingMachine {
  id: MachineID;
  statuses?: InverseOfferStatus[];
}

export interface QuotaStatus {
  /** @deprecated */
  infos?: QuotaInfo[];
  configs?: QuotaConfig[];
}

export interface CallReadFile {
  path: string;
  offset: bigint;
  length?: bigint;
}

export interface CallUpdateWeights {
  weight_infos?: WeightInfo[];
}

export interface CallReserveResources {
  agent_id: AgentID;
  resources?: Resource[];
  source?: Resource[];
}

export interface CallUnreserveResources {
  agent_id: AgentID;
  resources?: Resource[];
}

export interface CallCreateVolumes {
  agent_id: AgentID;
  volumes?: Resource[];
}

export interface CallDestroyVolumes {
  agent_id: AgentID;
  volumes?: Resource[];
}

export interface CallGrowVolume {
  agent_id?: AgentID;
  volume: Resource;
  addition: Resource;
}

export interface CallShrinkVolume {
  agent_id?: AgentID;
  volume: Resource;
  subtract: Scalar;
}

export interface CallUpdateMaintenanceSchedule {
  schedule: Schedule;
}

export interface CallStartMaintenance {
  machines?: MachineID[];
}

export interface CallStopMaintenance {
  machines?: MachineID[];
}

export interface CallDrainAgent {
  agent_id: AgentID;
  max_grace_period?: { seconds?: bigint; nanos?: number };
  mark_gone?: boolean;
}

export interface CallDeactivateAgent {
  agent_id: AgentID;
}

export interface CallReactivateAgent {
  agent_id: AgentID;
}

export interface CallUpdateQuota {
  force?: boolean;
  quota_configs?: QuotaConfig[];
}

export interface CallSetQuota {
  quota_request: QuotaRequest;
}

export interface CallRemoveQuota {
  role: string;
}

export interface CallTeardown {
  framework_id: FrameworkID;
}

export interface CallMarkAgentGone {
  agent_id: AgentID;
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
  get_agents?: ResponseGetAgents;
}

export interface ResponseGetAgents {
  agents?: ResponseGetAgentsAgent[];
  recovered_agents?: AgentInfo[];
}

export interface ResponseGetAgentsAgent {
  agent_info: AgentInfo;
  active: boolean;
  version: string;
  pid?: string;
  registered_time?: TimeInfo;
  reregistered_time?: TimeInfo;
  total_resources?: Resource[];
  allocated_resources?: Resource[];
  offered_resources?: Resource[];
  capabilities?: AgentCapability[];
  resource_providers?: ResponseGetAgentsAgentResourceProvider[];
  deactivated?: boolean;
  drain_info?: DrainInfo;
  estimated_drain_start_time?: TimeInfo;
}

export interface ResponseGetAgentsAgentResourceProvider {
  resource_provider_info: ResourceProviderInfo;
  total_resources?: Resource[];
}

export interface ResponseGetFrameworks {
  frameworks?: ResponseGetFrameworksFramework[];
  completed_frameworks?: ResponseGetFrameworksFramework[];
  /** @deprecated */
  recovered_frameworks?: FrameworkInfo[];
}

export interface ResponseGetFrameworksFramework {
  framework_info: FrameworkInfo;
  active: boolean;
  connected: boolean;
  registered_time?: TimeInfo;
  reregistered_time?: TimeInfo;
  unregistered_time?: TimeInfo;
  offers?: Offer[];
  inverse_offers?: InverseOffer[];
  allocated_resources?: Resource[];
  offered_resources?: Resource[];
  recovered: boolean;
  offer_constraints?: OfferConstraints;
}

export interface ResponseGetExecutors {
  executors?: ResponseGetExecutorsExecutor[];
  /** @deprecated */
  orphan_executors?: ResponseGetExecutorsExecutor[];
}

export interface ResponseGetExecutorsExecutor {
  executor_info: ExecutorInfo;
  agent_id: AgentID;
}

export interface ResponseGetOperations {
  operations?: Operation[];
}

export interface ResponseGetTasks {
  /** @deprecated */
  pending_tasks?: Task[];
  tasks?: Task[];
  completed_tasks?: Task[];
  /** @deprecated */
  orphan_tasks?: Task[];
  unreachable_tasks?: Task[];
}

export interface ResponseGetRoles {
  roles?: Role[];
}

export interface ResponseGetWeights {
  weight_infos?: WeightInfo[];
}

export interface ResponseGetMaster {
  master_info?: MasterInfo;
  start_time?: number;
  elected_time?: number;
}

export interface ResponseGetMaintenanceStatus {
  status: ClusterStatus;
}

export interface ResponseGetMaintenanceSchedule {
  schedule: Schedule;
}

export interface ResponseGetQuota {
  status: QuotaStatus;
}

export interface EventSubscribed {
  get_state?: ResponseGetState;
  heartbeat_interval_seconds?: number;
}

export interface EventTaskAdded {
  task: Task;
}

export interface EventTaskUpdated {
  framework_id: FrameworkID;
  status: TaskStatus;
  state: TaskState;
}

export interface EventFrameworkAdded {
  framework: ResponseGetFrameworksFramework;
}

export interface EventFrameworkUpdated {
  framework: ResponseGetFrameworksFramework;
}

export interface EventFrameworkRemoved {
  framework_info: FrameworkInfo;
}

export interface EventAgentAdded {
  agent: ResponseGetAgentsAgent;
}

export interface EventAgentRemoved {
  agent_id: AgentID;
}

export type InverseOfferStatusStatus = 'UNKNOWN' | 'ACCEPT' | 'DECLINE';
