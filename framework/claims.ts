import { mesosVolumeDriver, prefix } from '../api/kinds/names.ts';
import { PersistentVolumeClaim } from '../api/kinds/persistent-volume-claim.ts';
import { PersistentVolume } from '../api/kinds/persistent-volume.ts';
import type { Pod } from '../api/kinds/pod.ts';
import { StorageClass } from '../api/kinds/storage-class.ts';
import type { Stored } from '../api/meta.ts';
import { quantity } from '../api/quantity.ts';
import { isAlreadyExists, isNotFound } from '../api/status.ts';
import { claimNames } from '../api/volume-claims.ts';
import type { Client } from '../client/client.ts';
import type { Informer, Informers } from '../client/informer.ts';
import { type Reconciler, watching } from '../client/reconcile.ts';
import { toThousandths } from './resources.ts';
import { type VolumeWant, claimLabel, clusterLabel, persistenceId } from './volumes.ts';

/** Of StorageClasses whose claims become volumes of Mesos. */
export const provisioner = 'mesos';

type Claim = PersistentVolumeClaim & Stored;
type Volume = PersistentVolume & Stored;

/** Claims of class `mesos`, and the PersistentVolumes that stand for what Mesos keeps for them. */
export class Claims {
  readonly #client: Client;
  readonly #claims: Informer<PersistentVolumeClaim>;
  readonly #volumes: Informer<PersistentVolume>;
  readonly #classes: Informer<StorageClass>;
  readonly #cluster: string;
  readonly #principal: string | undefined;

  constructor(client: Client, informers: Informers, cluster: string, principal: string | undefined) {
    this.#client = client;
    this.#claims = informers.of(PersistentVolumeClaim);
    this.#volumes = informers.of(PersistentVolume, { indexes: { handle: handlesOf } });
    this.#classes = informers.of(StorageClass);
    this.#cluster = cluster;
    this.#principal = principal;
  }

  /** The volumes that a pod's task carries; new ones get ids of the task. Claims of other kinds are somebody else's. */
  wantedBy(pod: Pod, taskId: string): VolumeWant[] {
    return claimNames(pod).flatMap((name) => {
      const claim = this.#claims.get(`${pod.metadata.namespace}/${name}`);
      if (!claim) return [];
      const volume = this.#volumeOf(claim);
      if (volume) return handlesOf(volume).map((handle) => this.#want(claim, handle, true));
      const storageClass = this.#classes.get(claim.spec.storageClassName ?? '');
      if (claim.spec.volumeName || storageClass?.provisioner !== provisioner) return [];
      return [this.#want(claim, persistenceId(this.#cluster, claim.metadata.uid, taskId), false)];
    });
  }

  /** Whether a PersistentVolume stands for the volume of this id. */
  has(handle: string): boolean {
    return this.#volumes.by('handle', handle).length > 0;
  }

  /** A task runs with the volumes that were made for it: from now on PersistentVolumes stand for them. */
  async provide(wants: readonly VolumeWant[], node: string, signal: AbortSignal): Promise<void> {
    for (const want of wants) {
      const claim = [...this.#claims.list()].find(({ metadata }) => metadata.uid === want.claimUid);
      if (want.isMade || !claim) continue;
      try {
        await this.#client.create(PersistentVolume, this.#standIn(claim, want.id, node), {}, signal);
      } catch (error) {
        if (!isAlreadyExists(error)) throw error;
      }
    }
  }

  /** Deletes PersistentVolumes that were let go and are to be deleted; what they stood for is then released. */
  reclaimer(): Reconciler {
    return {
      name: 'mesos-volumes',
      watches: [watching(this.#volumes)],
      reconcile: async (name, signal) => {
        const volume = this.#volumes.get(name);
        const isDue = volume?.status?.phase === 'Released' && volume.spec.persistentVolumeReclaimPolicy === 'Delete';
        if (!volume || !isDue || volume.metadata.deletionTimestamp || handlesOf(volume).length === 0) return;
        await this.#client.delete(PersistentVolume, { name }, {}, signal).catch((error: unknown) => {
          if (!isNotFound(error)) throw error;
        });
      },
    };
  }

  #volumeOf(claim: Claim): Volume | undefined {
    const volume = this.#volumes.get(claim.spec.volumeName || nameFor(claim));
    return volume?.spec.claimRef?.uid === claim.metadata.uid ? volume : undefined;
  }

  #want({ metadata, spec }: Claim, id: string, isMade: boolean): VolumeWant {
    return {
      id,
      isMade,
      claimUid: metadata.uid,
      size: toThousandths('ephemeral-storage', quantity(spec.resources?.requests?.['storage'] ?? '0')),
      labels: [
        { key: clusterLabel, value: this.#cluster },
        { key: claimLabel, value: `${metadata.namespace}/${metadata.name}` },
      ],
      principal: this.#principal,
    };
  }

  #standIn(claim: Claim, handle: string, node: string): PersistentVolume {
    const { name, namespace = '', uid } = claim.metadata;
    const { accessModes = [], resources, storageClassName = '' } = claim.spec;
    const storageClass = this.#classes.get(storageClassName);
    return {
      metadata: { name: nameFor(claim), annotations: { 'pv.kubernetes.io/provisioned-by': provisioner } },
      spec: {
        capacity: { storage: resources?.requests?.['storage'] ?? '0' },
        accessModes,
        storageClassName,
        persistentVolumeReclaimPolicy: storageClass?.reclaimPolicy ?? 'Delete',
        claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid },
        csi: { driver: mesosVolumeDriver, volumeHandle: handle },
        nodeAffinity: {
          required: {
            nodeSelectorTerms: [
              { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [node] }] },
            ],
          },
        },
      },
    };
  }
}

const nameFor = ({ metadata }: Claim): string => `pvc-${metadata.uid}`;

const handlesOf = ({ spec }: PersistentVolume): string[] =>
  spec.csi?.driver === mesosVolumeDriver ? [spec.csi.volumeHandle] : [];

/** The class that users name; made where there is none, so that `storageClassName: mesos` works from the start. */
export async function offerClass(client: Client, signal: AbortSignal): Promise<void> {
  const storageClass: StorageClass = {
    metadata: { name: provisioner, labels: { [`${prefix}managed`]: 'true' } },
    provisioner,
    reclaimPolicy: 'Delete',
    volumeBindingMode: 'WaitForFirstConsumer',
  };
  try {
    await client.create(StorageClass, storageClass, {}, signal);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
  }
}
