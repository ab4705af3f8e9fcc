import type { ConfigMap } from '../../api/kinds/config-map.ts';
import type { PersistentVolume } from '../../api/kinds/persistent-volume.ts';
import type { PersistentVolumeClaim } from '../../api/kinds/persistent-volume-claim.ts';
import type { Pod, Volume } from '../../api/kinds/pod.ts';
import type { Secret } from '../../api/kinds/secret.ts';
import type { CsiVolumes } from '../csi/volumes.ts';
import type { EnvFacts } from '../env.ts';
import type { Images } from '../runtime.ts';

/** One volume type: a file in this directory and a line in ../volumes.ts. */
export interface VolumeType {
  /** The field of the volume that names its source. */
  source: string;
  /** Whether containers may only read it, whatever they ask for. */
  isReadOnly?(volume: Volume): boolean;
  /**
   * Makes the volume ready and answers where it is on this machine. Called again while the pod runs, to bring it up to
   * date; must then change nothing else. Throws VolumeError in words for the user.
   */
  prepare(volume: Volume, place: VolumePlace): Promise<string>;
  /** Undoes what removing the directory does not. */
  remove?(path: string): Promise<void>;
}

/** One kind of PersistentVolume: a file in this directory and a line in ./claim.ts. */
export interface PersistentType {
  /** The field of the volume's spec that names its source. */
  source: string;
  /** Whether it may be a block device without a file system (volumeMode Block). */
  hasDevices?: boolean;
  /** Which of those with that source; all unless told. */
  isFor?(volume: PersistentVolume): boolean;
  /** As for a VolumeType. */
  prepare(volume: PersistentVolume, place: VolumePlace): Promise<string>;
}

export interface VolumePlace {
  pod: Pod;
  /** The volume's own directory on this machine; it need not exist yet. */
  path: string;
  facts: VolumeFacts;
  /** What the pod names a PersistentVolume by. */
  claim?: PersistentVolumeClaim;
}

export interface VolumeFacts extends Pick<EnvFacts, 'nodeName' | 'hostIps' | 'podIps' | 'allocatable'> {
  /** Whether the runtime mounts the files of images. */
  mountsImages: Images['mounts'];
  /** Where the Mesos agent puts what the executor's tasks have. */
  sandbox: string;
  configMap(name: string): Promise<ConfigMap | undefined>;
  secret(name: string): Promise<Secret | undefined>;
  claim(name: string): Promise<PersistentVolumeClaim | undefined>;
  persistentVolume(name: string): Promise<PersistentVolume | undefined>;
  /** Undefined where no CSI driver can serve. */
  csi?: Pick<CsiVolumes, 'publish' | 'expand' | 'isForGroup'> | undefined;
  /** The file system of a claim's volume has grown. */
  claimGrew(claim: PersistentVolumeClaim, storage: string): Promise<void>;
  /** About the pod. */
  event(type: 'Normal' | 'Warning', reason: string, message: string): void;
  /** A token for the pod's service account; `seconds` is how long it should live. */
  token(audience: string | undefined, seconds: number): Promise<{ token: string; expiresAt: number }>;
}

export class VolumeError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'VolumeError';
  }
}
