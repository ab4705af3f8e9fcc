import type { CSIDriver } from '../../api/kinds/csi-driver.ts';
import type { VolumeAttachment } from '../../api/kinds/volume-attachment.ts';
import type { PersistentVolume } from '../../api/kinds/persistent-volume.ts';
import type { PersistentVolumeClaim } from '../../api/kinds/persistent-volume-claim.ts';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ConfigMap } from '../../api/kinds/config-map.ts';
import type { Pod, PodStatus } from '../../api/kinds/pod.ts';
import type { Secret } from '../../api/kinds/secret.ts';
import type { Service } from '../../api/kinds/service.ts';
import type { Apiserver } from '../../executor/apiserver.ts';
import { CrashBackoff } from '../../executor/crash-backoff.ts';
import type { Kubelet, PodReport } from '../../executor/kubelet.ts';
import { type Pressures, atEase } from '../../executor/machine.ts';
import { Pods } from '../../executor/pods.ts';
import { ProbeCounts } from '../../executor/probes/probe-counts.ts';
import type { Runtime } from '../../executor/runtime.ts';
import { ProcessRuntime } from '../../executor/runtimes/process.ts';
import { type SourceKind, Sources } from '../../executor/sources.ts';
import { StatusWriter } from '../../executor/status-writer.ts';
import { unmount } from '../../executor/volumes/mounts.ts';
import { silent } from '../../lib/log.ts';

/** The Apiserver port over a few maps: what was written can be looked at, and it can be out of order. */
export class RecordingApiserver implements Apiserver {
  statuses = new Map<string, PodStatus>();
  /** Told of what is written of a pod. */
  onStatus = new Map<string, (status: PodStatus) => void>();
  removed: string[] = [];
  events: string[] = [];
  configMaps = new Map<string, ConfigMap>();
  secrets = new Map<string, Secret>();
  claims = new Map<string, PersistentVolumeClaim>();
  volumes = new Map<string, PersistentVolume>();
  drivers = new Map<string, CSIDriver>();
  attachments = new Map<string, VolumeAttachment>();
  handlers = new Map<string, string>();
  down = false;

  writeStatus(pod: Pod, status: PodStatus): Promise<void> {
    if (this.down) return Promise.reject(new Error('the apiserver is down'));
    this.statuses.set(pod.metadata.uid!, structuredClone(status));
    this.onStatus.get(pod.metadata.uid!)?.(status);
    return Promise.resolve();
  }
  removePod(pod: Pod): Promise<void> {
    if (this.down) return Promise.reject(new Error('the apiserver is down'));
    this.removed.push(pod.metadata.uid!);
    return Promise.resolve();
  }
  configMap(namespace: string, name: string): Promise<ConfigMap | undefined> {
    return Promise.resolve(this.configMaps.get(`${namespace}/${name}`));
  }
  secret(namespace: string, name: string): Promise<Secret | undefined> {
    return Promise.resolve(this.secrets.get(`${namespace}/${name}`));
  }
  /** Tells whoever watches the source of that key. */
  watching = new Map<string, () => void>();
  watchSource(kind: SourceKind, namespace: string, name: string, changed: () => void): () => void {
    const key = `${kind}/${namespace}/${name}`;
    this.watching.set(key, changed);
    return () => this.watching.delete(key);
  }
  claim(namespace: string, name: string): Promise<PersistentVolumeClaim | undefined> {
    return Promise.resolve(this.claims.get(`${namespace}/${name}`));
  }
  claimGrew(): Promise<void> {
    return Promise.resolve();
  }
  persistentVolume(name: string): Promise<PersistentVolume | undefined> {
    return Promise.resolve(this.volumes.get(name));
  }
  csiDriver(name: string): Promise<CSIDriver | undefined> {
    return Promise.resolve(this.drivers.get(name));
  }
  volumeAttachment(name: string): Promise<VolumeAttachment | undefined> {
    return Promise.resolve(this.attachments.get(name));
  }
  runtimeHandler(name: string): Promise<string | undefined> {
    return Promise.resolve(this.handlers.get(name));
  }
  serviceList: Service[] = [];
  services(): readonly Service[] {
    return this.serviceList;
  }
  token(): Promise<{ token: string; expiresAt: number }> {
    return Promise.resolve({ token: 'a-token', expiresAt: Date.now() + 3_600_000 });
  }
  event(_pod: Pod, type: string, reason: string, message: string): void {
    this.events.push(`${type} ${reason} ${message}`);
  }
}

export interface TestKubelet {
  pods: Pods;
  apiserver: RecordingApiserver;
  runtime: Runtime;
  reports: Map<string, PodReport>;
  probeCounts: ProbeCounts;
  directory: string;
  status(pod: Pod): PodStatus | undefined;
  /** The node is short of this from now on. */
  press(pressures: Pressures): void;
  close(): Promise<void>;
}

/** The kubelet logic over the process runtime (or another), with short waits. */
export function testKubelet({
  backoff = 100,
  runtime,
  cgroupParent = '',
  directory: given,
}: { backoff?: number; runtime?: Runtime; cgroupParent?: string; directory?: string } = {}): TestKubelet {
  const directory = given ?? mkdtempSync('/dev/shm/km-kubelet-');
  const apiserver = new RecordingApiserver();
  const stopping = new AbortController();
  const used = runtime ?? new ProcessRuntime({ root: join(directory, 'process'), nodeIp: '127.0.0.1', log: silent });
  let pressures = atEase;
  const reports = new Map<string, PodReport>();
  const kubelet: Kubelet = {
    runtime: used,
    apiserver,
    sources: new Sources(apiserver),
    statuses: new StatusWriter(apiserver, stopping.signal, silent),
    backoff: new CrashBackoff(backoff),
    retries: new CrashBackoff(50),
    probeCounts: new ProbeCounts(),
    nodeIps: ['127.0.0.1'],
    nodeName: 'node-1',
    allocatable: { cpu: 4000, memory: 4 * 1024 ** 3, disk: 8 * 1024 ** 3 },
    volumes: join(directory, 'volumes'),
    logs: join(directory, 'logs'),
    cgroupParent,
    podMaxPids: 200,
    clusterDns: [],
    clusterDomain: 'cluster.local',
    pressures: () => pressures,
    sandbox: join(directory, 'sandbox'),
    seccompProfiles: join(directory, 'seccomp'),
    allowedUnsafeSysctls: ['kernel.msg*'],
    report: (uid, report) => reports.set(uid, report),
    log: silent,
  };
  const pods = new Pods(kubelet);
  return {
    pods,
    apiserver,
    runtime: used,
    reports,
    probeCounts: kubelet.probeCounts,
    directory,
    status: (pod) => apiserver.statuses.get(pod.metadata.uid!),
    press: (now) => void (pressures = now),
    close: async () => {
      await pods.close();
      stopping.abort();
      await used.close();
      await unmount(directory);
      if (!given) rmSync(directory, { recursive: true, force: true });
    },
  };
}
