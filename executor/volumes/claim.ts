import { checkUse, deviceAt, isBlock } from './block.ts';
import { persistentCsi } from './csi.ts';
import { hostPath } from './host-path.ts';
import { local } from './local.ts';
import { mesos } from './mesos.ts';
import { unmount } from './mounts.ts';
import { persistentNfs } from './nfs.ts';
import { type PersistentType, VolumeError, type VolumePlace, type VolumeType } from './volume.ts';

/** Every kind of PersistentVolume that this node can provide. */
const types: readonly PersistentType[] = [
  {
    source: 'hostPath',
    hasDevices: true,
    prepare: (volume, place) =>
      isBlock(volume)
        ? deviceAt(volume.spec.hostPath!.path)
        : hostPath.prepare({ name: '', hostPath: volume.spec.hostPath! }, place),
  },
  ...[local, persistentNfs, mesos, persistentCsi],
];

/** A volume that outlives the pod, by the claim that the pod names. */
export const persistentVolumeClaim: VolumeType = {
  source: 'persistentVolumeClaim',
  isReadOnly: ({ persistentVolumeClaim: source }) => (source as ClaimSource).readOnly === true,
  remove: unmount,
  prepare: ({ name, persistentVolumeClaim: source }, place) =>
    prepareClaim(name, (source as ClaimSource).claimName, place),
};

/** The same by a claim that was made for the pod and goes with it. */
export const ephemeral: VolumeType = {
  source: 'ephemeral',
  remove: unmount,
  prepare: ({ name }, place) => prepareClaim(name, `${place.pod.metadata.name}-${name}`, place, true),
};

interface ClaimSource {
  claimName: string;
  readOnly?: boolean;
}

async function prepareClaim(own: string, name: string, place: VolumePlace, isOwned = false): Promise<string> {
  const { pod, facts } = place;
  const claim = await facts.claim(name);
  if (!claim) throw new VolumeError(`persistentvolumeclaim "${name}" not found`);
  const { uid } = claim.metadata;
  if (isOwned && !claim.metadata.ownerReferences?.some((owner) => owner.uid === pod.metadata.uid))
    throw new VolumeError(`PVC "${name}" was not created for pod "${pod.metadata.name}" (pod is not owner)`);
  if (claim.status?.phase !== 'Bound' || !claim.spec.volumeName)
    throw new VolumeError(`persistentvolumeclaim "${name}" is not bound to a volume yet`);
  const volume = await facts.persistentVolume(claim.spec.volumeName);
  if (!volume || volume.spec.claimRef?.uid !== uid)
    throw new VolumeError(`volume "${claim.spec.volumeName}" is not bound to persistentvolumeclaim "${name}"`);
  checkUse(pod, own, isBlock(volume));
  const type = types.find(({ source, isFor }) => volume.spec[source] !== undefined && isFor?.(volume) !== false);
  if (!type) throw new VolumeError(`volume "${claim.spec.volumeName}" is of a kind that this node cannot provide yet`);
  if (isBlock(volume) && !type.hasDevices)
    throw new VolumeError(`volume "${claim.spec.volumeName}" is a ${type.source} volume, which has no block device`);
  return type.prepare(volume, { ...place, claim });
}
