/** How a container of a task is described and what Mesos tells about it. Same rules as in types.ts. */
import type { ContainerID, Labels } from './types.ts';

export interface Parameter {
  key: string;
  value: string;
}

export interface Parameters {
  parameter?: Parameter[];
}

export interface Credential {
  principal: string;
  secret?: string;
}

export interface Secret {
  type?: 'UNKNOWN' | 'REFERENCE' | 'VALUE';
  reference?: SecretReference;
  value?: SecretValue;
}

export interface SecretReference {
  name: string;
  key?: string;
}

export interface SecretValue {
  data: Uint8Array;
}

export interface Image {
  type: 'APPC' | 'DOCKER';
  appc?: ImageAppc;
  docker?: ImageDocker;
  cached?: boolean;
}

export interface ImageAppc {
  name: string;
  id?: string;
  labels?: Labels;
}

export interface ImageDocker {
  name: string;
  /** @deprecated */
  credential?: Credential;
  config?: Secret;
}

export interface MountPropagation {
  mode?: MountPropagationMode;
}

export interface Volume {
  container_path: string;
  host_path?: string;
  mode: VolumeMode;
  image?: Image;
  source?: VolumeSource;
}

export interface VolumeSource {
  type?: 'UNKNOWN' | 'DOCKER_VOLUME' | 'SANDBOX_PATH' | 'SECRET' | 'HOST_PATH' | 'CSI_VOLUME';
  docker_volume?: VolumeSourceDockerVolume;
  sandbox_path?: VolumeSourceSandboxPath;
  secret?: Secret;
  host_path?: VolumeSourceHostPath;
  csi_volume?: VolumeSourceCSIVolume;
}

export interface VolumeSourceDockerVolume {
  driver?: string;
  name: string;
  driver_options?: Parameters;
}

export interface VolumeSourceHostPath {
  path: string;
  mount_propagation?: MountPropagation;
}

export interface VolumeSourceSandboxPath {
  type?: 'UNKNOWN' | 'SELF' | 'PARENT';
  path: string;
}

export interface VolumeSourceCSIVolume {
  plugin_name: string;
  static_provisioning?: VolumeSourceCSIVolumeStaticProvisioning;
}

export interface VolumeSourceCSIVolumeVolumeCapability {
  block?: VolumeSourceCSIVolumeVolumeCapabilityBlockVolume;
  mount?: VolumeSourceCSIVolumeVolumeCapabilityMountVolume;
  access_mode: VolumeSourceCSIVolumeVolumeCapabilityAccessMode;
}

export interface VolumeSourceCSIVolumeVolumeCapabilityMountVolume {
  fs_type?: string;
  mount_flags?: string[];
}

export interface VolumeSourceCSIVolumeVolumeCapabilityAccessMode {
  mode: VolumeSourceCSIVolumeVolumeCapabilityAccessModeMode;
}

export interface VolumeSourceCSIVolumeStaticProvisioning {
  volume_id: string;
  volume_capability: VolumeSourceCSIVolumeVolumeCapability;
  node_stage_secrets?: Record<string, Secret>;
  node_publish_secrets?: Record<string, Secret>;
  volume_context?: Record<string, string>;
}

export interface NetworkInfo {
  groups?: string[];
  labels?: Labels;
  ip_addresses?: IPAddress[];
  name?: string;
  port_mappings?: NetworkPortMapping[];
}

export interface IPAddress {
  protocol?: NetworkProtocol;
  ip_address?: string;
}

export interface NetworkPortMapping {
  host_port: number;
  container_port: number;
  protocol?: string;
}

export interface CapabilityInfo {
  capabilities?: CapabilityInfoCapability[];
}

export interface SeccompInfo {
  profile_name?: string;
  unconfined?: boolean;
}

export interface LinuxInfo {
  /** @deprecated */
  capability_info?: CapabilityInfo;
  bounding_capabilities?: CapabilityInfo;
  effective_capabilities?: CapabilityInfo;
  share_pid_namespace?: boolean;
  seccomp?: SeccompInfo;
  ipc_mode?: LinuxInfoIpcMode;
  shm_size?: number;
  share_cgroups?: boolean;
}

export interface RLimitInfo {
  rlimits?: RLimitInfoRLimit[];
}

export interface RLimitInfoRLimit {
  type?:
    | 'UNKNOWN'
    | 'RLMT_AS'
    | 'RLMT_CORE'
    | 'RLMT_CPU'
    | 'RLMT_DATA'
    | 'RLMT_FSIZE'
    | 'RLMT_LOCKS'
    | 'RLMT_MEMLOCK'
    | 'RLMT_MSGQUEUE'
    | 'RLMT_NICE'
    | 'RLMT_NOFILE'
    | 'RLMT_NPROC'
    | 'RLMT_RSS'
    | 'RLMT_RTPRIO'
    | 'RLMT_RTTIME'
    | 'RLMT_SIGPENDING'
    | 'RLMT_STACK';
  hard?: bigint;
  soft?: bigint;
}

export interface TTYInfo {
  window_size?: TTYInfoWindowSize;
}

export interface TTYInfoWindowSize {
  rows: number;
  columns: number;
}

export interface ContainerInfo {
  type: 'DOCKER' | 'MESOS';
  volumes?: Volume[];
  docker?: DockerInfo;
  hostname?: string;
  mesos?: MesosContainerInfo;
  network_infos?: NetworkInfo[];
  linux_info?: LinuxInfo;
  rlimit_info?: RLimitInfo;
  tty_info?: TTYInfo;
}

export interface DockerInfo {
  image: string;
  network?: ContainerInfoDockerInfoNetwork;
  port_mappings?: DockerPortMapping[];
  privileged?: boolean;
  parameters?: Parameter[];
  force_pull_image?: boolean;
  /** @deprecated */
  volume_driver?: string;
}

export interface DockerPortMapping {
  host_port: number;
  container_port: number;
  protocol?: string;
}

export interface MesosContainerInfo {
  image?: Image;
}

export interface ContainerStatus {
  network_infos?: NetworkInfo[];
  cgroup_info?: CgroupInfo;
  executor_pid?: number;
  container_id?: ContainerID;
}

export interface CgroupInfo {
  net_cls?: CgroupInfoNetCls;
}

export interface CgroupInfoNetCls {
  classid?: number;
}

export type VolumeSourceCSIVolumeVolumeCapabilityBlockVolume = Record<string, never>;

export type VolumeMode = 'RW' | 'RO';

export type MountPropagationMode = 'UNKNOWN' | 'HOST_TO_CONTAINER' | 'BIDIRECTIONAL';

export type VolumeSourceCSIVolumeVolumeCapabilityAccessModeMode =
  | 'UNKNOWN'
  | 'SINGLE_NODE_WRITER'
  | 'SINGLE_NODE_READER_ONLY'
  | 'MULTI_NODE_READER_ONLY'
  | 'MULTI_NODE_SINGLE_WRITER'
  | 'MULTI_NODE_MULTI_WRITER';

export type ContainerInfoDockerInfoNetwork = 'HOST' | 'BRIDGE' | 'NONE' | 'USER';

export type NetworkProtocol = 'IPv4' | 'IPv6';

export type CapabilityInfoCapability =
  | 'UNKNOWN'
  | 'CHOWN'
  | 'DAC_OVERRIDE'
  | 'DAC_READ_SEARCH'
  | 'FOWNER'
  | 'FSETID'
  | 'KILL'
  | 'SETGID'
  | 'SETUID'
  | 'SETPCAP'
  | 'LINUX_IMMUTABLE'
  | 'NET_BIND_SERVICE'
  | 'NET_BROADCAST'
  | 'NET_ADMIN'
  | 'NET_RAW'
  | 'IPC_LOCK'
  | 'IPC_OWNER'
  | 'SYS_MODULE'
  | 'SYS_RAWIO'
  | 'SYS_CHROOT'
  | 'SYS_PTRACE'
  | 'SYS_PACCT'
  | 'SYS_ADMIN'
  | 'SYS_BOOT'
  | 'SYS_NICE'
  | 'SYS_RESOURCE'
  | 'SYS_TIME'
  | 'SYS_TTY_CONFIG'
  | 'MKNOD'
  | 'LEASE'
  | 'AUDIT_WRITE'
  | 'AUDIT_CONTROL'
  | 'SETFCAP'
  | 'MAC_OVERRIDE'
  | 'MAC_ADMIN'
  | 'SYSLOG'
  | 'WAKE_ALARM'
  | 'BLOCK_SUSPEND'
  | 'AUDIT_READ'
  | 'PERFMON'
  | 'BPF'
  | 'CHECKPOINT_RESTORE';

export type LinuxInfoIpcMode = 'UNKNOWN' | 'PRIVATE' | 'SHARE_PARENT';
