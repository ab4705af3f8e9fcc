import { type CsiVolume, type SecretRef, sha256 } from '../csi/volumes.ts';
import { giveToGroup } from './group.ts';
import { grow } from './growth.ts';
import { isBlock } from './block.ts';
import { type PersistentType, VolumeError, type VolumePlace, type VolumeType } from './volume.ts';

interface InlineSource {
  driver: string;
  fsType?: string;
  readOnly?: boolean;
  volumeAttributes?: Record<string, string>;
  nodePublishSecretRef?: { name: string };
}

interface PersistentSource extends Omit<InlineSource, 'nodePublishSecretRef'> {
  volumeHandle: string;
  nodeStageSecretRef?: SecretRef;
  nodePublishSecretRef?: SecretRef;
  nodeExpandSecretRef?: SecretRef;
}

/** A volume that a CSI driver makes for the pod alone. */
export const inlineCsi: VolumeType = {
  source: 'csi',
  prepare({ name, csi }, place) {
    const {
      driver,
      fsType = '',
      readOnly = false,
      volumeAttributes = {},
      nodePublishSecretRef: ref,
    } = csi as InlineSource;
    const { uid = '', namespace = '' } = place.pod.metadata;
    return mounted(place, {
      ...{ pod: place.pod, name, driver, fsType, readOnly },
      handle: `csi-${sha256(`${uid}${name}`)}`,
      isEphemeral: true,
      isBlock: false,
      mountOptions: [],
      accessModes: ['ReadWriteOnce'],
      attributes: volumeAttributes,
      publishSecret: ref && { name: ref.name, namespace },
    });
  },
};

/** One that outlives the pod. */
export const persistentCsi: PersistentType = {
  source: 'csi',
  hasDevices: true,
  async prepare(persistent, place) {
    const { metadata, spec } = persistent;
    const { driver, volumeHandle, fsType = '', readOnly = false, ...source } = spec.csi as PersistentSource;
    const volume: CsiVolume = {
      ...{ pod: place.pod, name: metadata.name!, driver, fsType, readOnly },
      handle: volumeHandle,
      isEphemeral: false,
      isBlock: isBlock(persistent),
      mountOptions: spec.mountOptions ?? [],
      accessModes: spec.accessModes ?? [],
      attributes: source.volumeAttributes ?? {},
      stageSecret: source.nodeStageSecretRef,
      publishSecret: source.nodePublishSecretRef,
      expandSecret: source.nodeExpandSecretRef,
    };
    const path = await mounted(place, volume);
    await grow(volume, persistent, place);
    return path;
  },
};

async function mounted(place: VolumePlace, volume: CsiVolume): Promise<string> {
  const { csi } = place.facts;
  if (!csi) throw new VolumeError('volumes of CSI drivers need a container runtime, which this node has not');
  const path = await csi.publish(volume);
  if (await csi.isForGroup(volume)) await giveToGroup(path, place);
  return path;
}
