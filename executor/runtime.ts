import type { Duplex, Readable, Writable } from 'node:stream';
import type { Container, Pod } from '../api/kinds/pod.ts';

/**
 * The Runtime port: what the kubelet logic asks of whatever runs containers. Implementations under runtimes/;
 * test/executor/runtime.suite.ts holds each to this contract.
 *
 * A pod is a sandbox (network, shared namespaces) with containers in it. Ids are the runtime's own. All that the kubelet
 * must know after its own restart is in what `pods()` and `pod()` return: containers outlive the executor where the runtime can do so.
 */
export interface Runtime {
  /** `containerd`, `process` …: the scheme of container ids in pod status. */
  readonly name: string;
  /** Containers have a network, process ids and files of their own. */
  readonly isolates: boolean;
  /** Who makes the cgroups of its containers, where it has some and says so. */
  readonly cgroupDriver?: CgroupDriver | undefined;
  readonly images: Images;
  version(): Promise<RuntimeVersion>;
  /** What keeps it from running pods, in its words; undefined when nothing does. Where it runs with us there is nothing to ask. */
  unready?(): Promise<string | undefined>;
  /** Every pod of ours that the runtime has, running or not. */
  pods(): Promise<RuntimePod[]>;
  /** That one alone, which costs less. */
  pod(uid: string): Promise<RuntimePod | undefined>;
  /** Makes the sandbox for one try of a pod; the pod IP comes with it. */
  createSandbox(spec: SandboxSpec, signal?: AbortSignal): Promise<{ id: string } & Addresses>;
  /** Ends what runs in a sandbox and frees its network; containers and logs stay to be looked at. Absent is fine. */
  stopSandbox(id: string): Promise<void>;
  /** Stops and removes a sandbox and whatever is left in it. Absent is fine. */
  removeSandbox(id: string): Promise<void>;
  /** Creates and starts one container; `attempt` counts its restarts. Throws StartError. */
  start(spec: ContainerSpec, signal?: AbortSignal): Promise<{ id: string }>;
  /** SIGTERM (or the image's stop signal), then after `graceSeconds` SIGKILL. Resolves when it is gone. */
  stop(containerId: string, graceSeconds: number): Promise<void>;
  remove(containerId: string): Promise<void>;
  /** What each running container uses now. */
  usage(): Promise<ContainerUsage[]>;
  /** New limits for a running container. False when this runtime enforces none. */
  resize(containerId: string, resources: ContainerSpec['resources']): Promise<boolean>;
  /** Calls back when something about a pod may have changed; the kubelet then asks for that pod. */
  onChange(listener: (podUid: string) => void): void;
  /** A command inside a running container. */
  exec(containerId: string, request: ExecRequest): Promise<Exec>;
  /**
   * A command inside a running container, ended with all it started after `timeoutMs`: then the answer is `late`.
   * `output` is what it wrote on both streams, cut to some 16 KiB.
   */
  run(
    containerId: string,
    command: string[],
    timeoutMs: number | undefined,
    signal: AbortSignal,
  ): Promise<Ran | 'late'>;
  /** The container's main process, as exec gives one: its output from now on, and its input. */
  attach(containerId: string, request: Omit<ExecRequest, 'command'>): Promise<Exec>;
  /** A byte stream to a port inside the sandbox. */
  connect(sandboxId: string, port: number): Promise<Duplex>;
  /**
   * Which addresses the pods of this node have, `10.244.1.0/24` or one range of each family with a comma between: a runtime may
   * make its network of them. May be called again.
   */
  setPodCidr?(cidr: string): Promise<void>;
  close(): Promise<void>;
}

/** The images of a runtime. */
export interface Images {
  /** Whether containers can have the files of one mounted: all of them, or a directory of it too. */
  readonly mounts: 'none' | 'whole' | 'parts';
  /** Makes the image present as the policy says, with the first credential that will do, or none. Throws ImageError. */
  pull(
    image: string,
    policy: PullPolicy,
    credentials?: readonly Credential[],
    signal?: AbortSignal,
  ): Promise<PulledImage>;
  /** Those that this node has; empty where there are none to have. */
  list(): Promise<RuntimeImage[]>;
  /** Where on this machine they are; undefined where there are none. */
  directory(): Promise<string | undefined>;
  /** What they have on disk together, bytes; absent where that takes the runtime long to say. */
  usedBytes?(): Promise<number | undefined>;
  /** Absent is fine. */
  remove(id: string): Promise<void>;
}

export type PullPolicy = 'Always' | 'IfNotPresent' | 'Never';

/** Bytes, and nanoseconds of processor time since it began; times are ms since the epoch. */
export interface ContainerUsage {
  id: string;
  podUid: string;
  name: string;
  startedAt: number;
  at: number;
  cpuNanos: number;
  memory: number;
  /** What cannot be taken back when memory is short. */
  workingSet: number;
  rss: number;
  /** What it wrote beside its volumes. */
  disk?: number;
}

export interface RuntimeImage {
  id: string;
  names: string[];
  bytes: number;
  /** Never to be removed. */
  pinned: boolean;
  /** A container is made of it, be it ours or somebody else's. */
  inUse: boolean;
}

export interface PulledImage {
  id: string;
  pulled: boolean;
  /** Whom its containers run as unless told otherwise: a number, or a name that only the image can resolve. */
  user: number | string;
}

export interface Credential {
  username: string;
  password: string;
}

export interface RuntimeVersion {
  /** `containerd://1.6.20`: goes to node status. */
  containerRuntimeVersion: string;
}

/** Where a pod is reached. */
export interface Addresses {
  /** Empty as long as it has none. */
  ip: string;
  /** The one of the other family, where it has two. */
  otherIp?: string;
}

export const addressesOf = ({ ip, otherIp }: Addresses): string[] =>
  [ip, otherIp].filter((address) => address !== undefined && address !== '') as string[];

export interface RuntimePod {
  uid: string;
  namespace: string;
  name: string;
  sandbox: { id: string; ready: boolean; createdAt: number; attempt: number } & Addresses;
  containers: RuntimeContainer[];
}

export interface RuntimeContainer {
  id: string;
  /** In which it was started: an earlier one of its pod, perhaps. */
  sandboxId: string;
  name: string;
  attempt: number;
  state: 'created' | 'running' | 'exited';
  /** Hash of the spec it was started from: a different one means that it must be replaced. */
  specHash: string;
  image: string;
  imageId: string;
  /** Milliseconds since the epoch; 0 when it has not happened. */
  startedAt: number;
  finishedAt: number;
  exitCode?: number;
  signal?: number;
  /** `Completed`, `Error`, `OOMKilled` … */
  reason?: string;
  message?: string;
  /** Absolute; in one of the forms that `log-record.ts` reads. */
  logPath: string;
}

export interface SandboxSpec {
  pod: Pod;
  attempt: number;
  hostname: string;
  /** Where container logs go. */
  logDirectory: string;
  /** Lines of /etc/resolv.conf; undefined: the host's. */
  dns?: { nameservers: string[]; searches: string[]; options: string[] };
  portMappings: { containerPort: number; hostPort: number; protocol: 'TCP' | 'UDP' | 'SCTP'; hostIP: string }[];
  cgroupParent?: string;
  /** Of the pod's RuntimeClass; empty: the usual one. */
  runtimeHandler: string;
  /** Where seccomp profiles of this machine are. */
  seccompProfiles: string;
}

/** Everything resolved: env expanded, volumes on host paths, security decided. */
export interface ContainerSpec {
  pod: Pod;
  container: Container;
  sandboxId: string;
  sandbox: SandboxSpec;
  attempt: number;
  specHash: string;
  imageId: string;
  imageUser: number | string;
  /** The container whose processes it sees and is seen by. */
  targetId?: string;
  env: { name: string; value: string }[];
  mounts: PathMount[];
  /** Those whose files it sees, read-only: none where the runtime does not mount them. */
  images: { id: string; containerPath: string; subPath: string }[];
  devices: BlockDevice[];
  /** Relative to the sandbox's log directory: `<container>/<attempt>.log`. */
  logPath: string;
  resources: PodLimits & { oomScoreAdj: number };
}

/** By `systemd` they lie below slices of systemd, by `cgroupfs` (the runtime itself) below any path. */
export type CgroupDriver = 'systemd' | 'cgroupfs';

/** A block device of this machine, shown in a container. */
export interface BlockDevice {
  hostPath: string;
  containerPath: string;
  readOnly: boolean;
}

/** What is left out is not limited. */
export interface PodLimits {
  cpuShares: number;
  cpuQuotaMillicores?: number;
  memoryLimitBytes?: number;
  /** Processes and threads together. */
  pids?: number;
}

/** A path of this machine, shown in a container. */
export interface PathMount {
  hostPath: string;
  containerPath: string;
  readOnly: boolean;
  propagation?: MountPropagation;
  /** We made it for this pod alone: where there is SELinux it gets the pod's label. */
  isOwn?: boolean;
}

/** Which later mounts below one are seen: the machine's in the container, or both ways. */
export type MountPropagation = 'HostToContainer' | 'Bidirectional';

export interface Ran {
  exitCode: number;
  output: string;
}

export interface ExecRequest {
  command: string[];
  stdin?: Readable | undefined;
  stdout?: Writable | undefined;
  stderr?: Writable | undefined;
  tty: boolean;
}

export interface Exec {
  /** Exit code of the command, once it has ended and all its output has been handed on. Rejects when the session broke. */
  done: Promise<number>;
  resize(columns: number, rows: number): void;
  /** The client went away. */
  kill(): void;
}

/** `ErrImagePull`, `ErrImageNeverPull`, `InvalidImageName` … with the runtime's words. */
export class ImageError extends Error {
  readonly reason: string;
  constructor(reason: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ImageError';
    this.reason = reason;
  }
}

/** The container could not be created or started: `CreateContainerError`, `RunContainerError`, `StartError`. */
export class StartError extends Error {
  readonly reason: string;
  constructor(reason: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StartError';
    this.reason = reason;
  }
}
