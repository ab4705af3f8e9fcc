import type { ConfigMap } from '../api/kinds/config-map.ts';
import type { CSIDriver } from '../api/kinds/csi-driver.ts';
import type { VolumeAttachment } from '../api/kinds/volume-attachment.ts';
import type { PersistentVolume } from '../api/kinds/persistent-volume.ts';
import type { PersistentVolumeClaim } from '../api/kinds/persistent-volume-claim.ts';
import type { Pod, PodStatus } from '../api/kinds/pod.ts';
import type { Secret } from '../api/kinds/secret.ts';
import type { SourceKind } from './sources.ts';
import type { Service } from '../api/kinds/service.ts';

/** What the kubelet logic asks of the apiserver; ./apiserver-client.ts asks it over client/. */
export interface Apiserver {
  /** Resolves when written; a pod that is gone or another one by that name counts as written. */
  writeStatus(pod: Pod, status: PodStatus): Promise<void>;
  /** Removes the object of a pod that has ended here: this pod and no other of its name. */
  removePod(pod: Pod): Promise<void>;
  configMap(namespace: string, name: string): Promise<ConfigMap | undefined>;
  secret(namespace: string, name: string): Promise<Secret | undefined>;
  /** Calls back when the object is first seen, changes, comes or goes; until what it answers is called. */
  watchSource(kind: SourceKind, namespace: string, name: string, changed: () => void): () => void;
  claim(namespace: string, name: string): Promise<PersistentVolumeClaim | undefined>;
  /** Says that the file system of its volume has grown to this. */
  claimGrew(claim: PersistentVolumeClaim, storage: string): Promise<void>;
  csiDriver(name: string): Promise<CSIDriver | undefined>;
  volumeAttachment(name: string): Promise<VolumeAttachment | undefined>;
  persistentVolume(name: string): Promise<PersistentVolume | undefined>;
  /** The handler of a RuntimeClass; undefined when there is no such class. */
  runtimeHandler(name: string): Promise<string | undefined>;
  services(): readonly Service[];
  token(pod: Pod, audience: string | undefined, seconds: number): Promise<{ token: string; expiresAt: number }>;
  /** `container` names the part of the pod that it is about. */
  event(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string, container?: string): void;
}
