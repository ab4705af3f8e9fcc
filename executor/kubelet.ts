import type { Logger } from '../lib/log.ts';
import type { Apiserver } from './apiserver.ts';
import type { CsiVolumes } from './csi/volumes.ts';
import type { CrashBackoff } from './crash-backoff.ts';
import type { Pressures } from './machine.ts';
import type { ProbeCounts } from './probes/probe-counts.ts';
import type { Runtime } from './runtime.ts';
import type { SandboxFacts } from './sandbox.ts';
import type { Sources } from './sources.ts';
import type { StatusWriter } from './status-writer.ts';

/** What every pod worker shares. */
export interface Kubelet extends SandboxFacts {
  runtime: Runtime;
  apiserver: Apiserver;
  sources: Sources;
  /** Volumes of CSI drivers; undefined where none can serve. */
  csi?: CsiVolumes | undefined;
  statuses: StatusWriter;
  /** Crashes and images: from 10 s. */
  backoff: CrashBackoff;
  /** What may be there any moment, a config map or a sandbox: from half a second. */
  retries: CrashBackoff;
  probeCounts: ProbeCounts;
  /** One, or one of each family. */
  nodeIps: readonly [string, ...string[]];
  /** cpu in thousandths, the others in bytes: what a container without limits is told it has. */
  allocatable: { cpu: number; memory: number; disk: number };
  /** What the node says it is short of. */
  pressures(): Pressures;
  /** Of the executor in Mesos. */
  sandbox: string;
  /** Volumes of all pods, one directory a pod. */
  volumes: string;
  /** Processes and threads of one pod; 0: as many as the machine takes. */
  podMaxPids: number;
  /** Names and `prefix*` patterns. */
  allowedUnsafeSysctls: readonly string[];
  report(uid: string, report: PodReport): void;
  log: Logger;
}

/** What Mesos is told of a pod. */
export interface PodReport {
  phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';
  message?: string;
  podIp?: string;
  /** Missing where nothing of the pod tells readiness from running. */
  isReady?: boolean;
  /** It was ended on demand, and nothing of it is left here. */
  gone?: boolean;
}
