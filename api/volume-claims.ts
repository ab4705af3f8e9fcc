import type { PersistentVolume } from './kinds/persistent-volume.ts';
import type { PersistentVolumeClaim } from './kinds/persistent-volume-claim.ts';
import type { Pod } from './kinds/pod.ts';
import { compareQuantities } from './quantity.ts';
import { matchesLabelSelector } from './selector.ts';

/** The claims a pod mounts, by name; a generic ephemeral volume has the claim `<pod>-<volume>`. */
export function claimNames(pod: Pod): string[] {
  return (pod.spec.volumes ?? []).flatMap((volume) => {
    const source = volume['persistentVolumeClaim'] as { claimName?: string } | undefined;
    if (source?.claimName) return [source.claimName];
    return volume['ephemeral'] ? [`${pod.metadata.name}-${volume.name}`] : [];
  });
}

/** Whether the volume may be bound to the claim: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#binding */
export function serves(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const { claimRef, capacity, accessModes = [], storageClassName = '', volumeMode = 'Filesystem' } = volume.spec;
  const { name, namespace, uid } = claim.metadata;
  const wanted = claim.spec;
  if (claimRef) {
    const isMine = claimRef.name === name && claimRef.namespace === namespace;
    if (!isMine || (claimRef.uid && claimRef.uid !== uid)) return false;
  } else if (volume.status?.phase !== 'Available') return false;
  return (
    !volume.metadata.deletionTimestamp &&
    storageClassName === (wanted.storageClassName ?? '') &&
    volumeMode === (wanted.volumeMode ?? 'Filesystem') &&
    (wanted.accessModes ?? []).every((mode) => accessModes.includes(mode)) &&
    (!wanted.selector || matchesLabelSelector(wanted.selector, volume.metadata.labels)) &&
    compareQuantities(capacity?.['storage'] ?? '0', wanted.resources?.requests?.['storage'] ?? '0') >= 0
  );
}
