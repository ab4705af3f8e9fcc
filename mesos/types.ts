/**
 * The messages of Mesos that more than one of its APIs uses, with the field names of the wire.
 *
 * - Every 64-bit integer is a `bigint`, also where the values are small (`range.begin`, `nanoseconds`): one rule, no lost digits.
 * - `bytes` are `Uint8Array`. Enums are their names. Maps are plain objects.
 * - A list that is empty is absent; so is every optional field that is not set. Defaults of the protocol are not filled in.
 * - Scalars of resources have three decimals; calculate with them in thousandths.
 */
import type { OfferFilters } from './offers.ts';
import type { CommandInfo } from './tasks.ts';
import type { ContainerInfo, Parameter, Volume } from './containers.ts';

export interface FrameworkID {
  value: string;
}

export interface OfferID {
  value: string;
}

export interface AgentID {
  value: string;
}

export interface TaskID {
  value: string;
}

export interface ExecutorID {
  value: string;
}

export interface ContainerID {
  value: string;
  parent?: ContainerID;
}

export interface ResourceProviderID {
  value: string;
}

export interface OperationID {
  value: string;
}

export interface TimeInfo {
  nanoseconds: bigint;
}

export interface DurationInfo {
  nanoseconds: bigint;
}

export interface Address {
  hostname?: string;
  ip?: string;
  port: number;
}

export interface URL {
  scheme: string;
  address: Address;
  path?: string;
  query?: Parameter[];
  fragment?: string;
}

export interface Unavailability {
  start: TimeInfo;
  duration?: DurationInfo;
}

export interface MachineID {
  hostname?: string;
  ip?: string;
}

export interface FrameworkInfo {
  user: string;
  name: string;
  id?: FrameworkID;
  failover_timeout?: number;
  checkpoint?: boolean;
  /** @deprecated */
  role?: string;
  hostname?: string;
  principal?: string;
  webui_url?: string;
  capabilities?: FrameworkCapability[];
  labels?: Labels;
  roles?: string[];
  offer_filters?: Record<string, OfferFilters>;
}

export interface FrameworkCapability {
  type?:
    | 'UNKNOWN'
    | 'REVOCABLE_RESOURCES'
    | 'TASK_KILLING_STATE'
    | 'GPU_RESOURCES'
    | 'SHARED_RESOURCES'
    | 'PARTITION_AWARE'
    | 'MULTI_ROLE'
    | 'RESERVATION_REFINEMENT'
    | 'REGION_AWARE';
}

export interface DomainInfo {
  fault_domain?: FaultDomain;
}

export interface FaultDomain {
  region: RegionInfo;
  zone: ZoneInfo;
}

export interface RegionInfo {
  name: string;
}

export interface ZoneInfo {
  name: string;
}

export interface MasterInfo {
  id: string;
  ip: number;
  port: number;
  pid?: string;
  hostname?: string;
  version?: string;
  address?: Address;
  domain?: DomainInfo;
  capabilities?: MasterCapability[];
}

export interface MasterCapability {
  type?: 'UNKNOWN' | 'AGENT_UPDATE' | 'AGENT_DRAINING' | 'QUOTA_V2';
}

export interface AgentInfo {
  hostname: string;
  resources?: Resource[];
  attributes?: Attribute[];
  id?: AgentID;
  port?: number;
  domain?: DomainInfo;
}

export interface AgentCapability {
  type?:
    | 'UNKNOWN'
    | 'MULTI_ROLE'
    | 'HIERARCHICAL_ROLE'
    | 'RESERVATION_REFINEMENT'
    | 'RESOURCE_PROVIDER'
    | 'RESIZE_VOLUME'
    | 'AGENT_OPERATION_FEEDBACK'
    | 'AGENT_DRAINING'
    | 'TASK_RESOURCE_LIMITS';
}

export interface CSIPluginContainerInfo {
  services?: CSIPluginContainerInfoService[];
  command?: CommandInfo;
  resources?: Resource[];
  container?: ContainerInfo;
}

export interface CSIPluginEndpoint {
  csi_service: CSIPluginContainerInfoService;
  endpoint: string;
}

export interface CSIPluginInfo {
  type: string;
  name?: string;
  containers?: CSIPluginContainerInfo[];
  endpoints?: CSIPluginEndpoint[];
  target_path_root?: string;
  target_path_exists?: boolean;
}

export interface ResourceProviderInfo {
  id?: ResourceProviderID;
  attributes?: Attribute[];
  type: string;
  name: string;
  default_reservations?: ReservationInfo[];
  storage?: ResourceProviderInfoStorage;
}

export interface ResourceProviderInfoStorage {
  plugin: CSIPluginInfo;
  reconciliation_interval_seconds?: number;
}

export interface Scalar {
  value: number;
}

export interface Range {
  begin: bigint;
  end: bigint;
}

export interface Ranges {
  range?: Range[];
}

export interface ValueSet {
  item?: string[];
}

export interface Text {
  value: string;
}

export interface Attribute {
  name: string;
  type: ValueType;
  scalar?: Scalar;
  ranges?: Ranges;
  text?: Text;
  set?: ValueSet;
}

export interface Resource {
  name: string;
  type: ValueType;
  scalar?: Scalar;
  ranges?: Ranges;
  set?: ValueSet;
  /** @deprecated */
  role?: string;
  disk?: DiskInfo;
  reservation?: ReservationInfo;
  revocable?: ResourceRevocableInfo;
  shared?: ResourceSharedInfo;
  allocation_info?: AllocationInfo;
  provider_id?: ResourceProviderID;
  reservations?: ReservationInfo[];
}

export interface AllocationInfo {
  role?: string;
}

export interface ReservationInfo {
  principal?: string;
  labels?: Labels;
  role?: string;
  type?: 'UNKNOWN' | 'STATIC' | 'DYNAMIC';
}

export interface DiskInfo {
  persistence?: Persistence;
  volume?: Volume;
  source?: DiskSource;
}

export interface Persistence {
  id: string;
  principal?: string;
}

export interface DiskSource {
  type: 'UNKNOWN' | 'PATH' | 'MOUNT' | 'BLOCK' | 'RAW';
  path?: ResourceDiskInfoSourcePath;
  mount?: ResourceDiskInfoSourceMount;
  id?: string;
  metadata?: Labels;
  profile?: string;
  vendor?: string;
}

export interface ResourceDiskInfoSourcePath {
  root?: string;
}

export interface ResourceDiskInfoSourceMount {
  root?: string;
}

export interface ResourceStatistics {
  timestamp: number;
  cpus_user_time_secs?: number;
  cpus_system_time_secs?: number;
  cpus_limit?: number;
  cpus_soft_limit?: number;
  mem_rss_bytes?: bigint;
  mem_soft_limit_bytes?: bigint;
  mem_limit_bytes?: bigint;
  disk_limit_bytes?: bigint;
  disk_used_bytes?: bigint;
  processes?: number;
  threads?: number;
  mem_total_bytes?: bigint;
}

export interface UUID {
  value: Uint8Array;
}

export interface Labels {
  labels?: Label[];
}

export interface Label {
  key: string;
  value?: string;
}

export interface WeightInfo {
  weight: number;
  role?: string;
}

export interface VersionInfo {
  version: string;
  build_date?: string;
  build_time?: number;
  build_user?: string;
  git_sha?: string;
  git_branch?: string;
  git_tag?: string;
}

export interface Flag {
  name: string;
  value?: string;
}

export interface Role {
  name: string;
  weight: number;
  frameworks?: FrameworkID[];
  resources?: Resource[];
}

export interface Metric {
  name: string;
  value?: number;
}

export interface FileInfo {
  path: string;
  nlink?: number;
  size?: bigint;
  mtime?: TimeInfo;
  mode?: number;
  uid?: string;
  gid?: string;
}

export interface DrainConfig {
  max_grace_period?: DurationInfo;
  mark_gone?: boolean;
}

export interface DrainInfo {
  state: DrainState;
  config: DrainConfig;
}

export type ResourceRevocableInfo = Record<string, never>;

export type ResourceSharedInfo = Record<string, never>;

export type ValueType = 'SCALAR' | 'RANGES' | 'SET' | 'TEXT';

export type CSIPluginContainerInfoService = 'UNKNOWN' | 'CONTROLLER_SERVICE' | 'NODE_SERVICE';

export type DrainState = 'UNKNOWN' | 'DRAINING' | 'DRAINED';
