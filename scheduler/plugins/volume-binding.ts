import type { Node } from '../../api/kinds/node.ts';
import type { PersistentVolume } from '../../api/kinds/persistent-volume.ts';
import type { PersistentVolumeClaim } from '../../api/kinds/persistent-volume-claim.ts';
import type { StorageClass } from '../../api/kinds/storage-class.ts';
import type { Plugin, Storage } from '../plugin.ts';
import { namespaceOf } from '../pod-selection.ts';
import { matches } from './node-affinity.ts';
import { claimNames, serves } from './volumes.ts';

const conflict = 'node(s) had volume node affinity conflict';
const none = "node(s) didn't find available persistent volumes to bind";
const noProvisioner = 'kubernetes.io/no-provisioner';

/**
 * The pod's claims must be bound to volumes that the node can reach; those that wait for their first consumer must find a
 * volume for the node, or a provisioner that makes one there.
 */
export const volumeBinding: Plugin = {
  name: 'VolumeBinding',
  filter: ({ pod, world }) => {
    const storage = world?.storage;
    const names = claimNames(pod);
    if (names.length === 0 || !storage) return undefined;
    const claims: PersistentVolumeClaim[] = [];
    for (const name of names) {
      const claim = storage.claim(namespaceOf(pod), name);
      if (!claim) return () => `persistentvolumeclaim "${name}" not found`;
      if (claim.metadata.deletionTimestamp) return () => `persistentvolumeclaim "${name}" is being deleted`;
      if (claim.status?.phase === 'Lost')
        return () =>
          `persistentvolumeclaim "${name}" bound to non-existent persistentvolume "${claim.spec.volumeName ?? ''}"`;
      claims.push(claim);
    }
    const isBound = ({ spec }: PersistentVolumeClaim) => Boolean(spec.volumeName);
    const waiting = claims.filter((claim) => !isBound(claim));
    if (waiting.some((claim) => classOf(claim, storage)?.volumeBindingMode !== 'WaitForFirstConsumer'))
      return () => 'pod has unbound immediate PersistentVolumeClaims';
    const bound = claims.filter(isBound);
    return ({ node }) => boundReason(bound, storage, node) ?? unboundReason(waiting, storage, node);
  },
};

const classOf = ({ spec }: PersistentVolumeClaim, storage: Storage): StorageClass | undefined =>
  spec.storageClassName ? storage.storageClass(spec.storageClassName) : undefined;

const reaches = ({ spec }: PersistentVolume, node: Node): boolean =>
  spec.nodeAffinity?.required?.nodeSelectorTerms.some((term) => matches(term, node)) ?? true;

function boundReason(claims: readonly PersistentVolumeClaim[], storage: Storage, node: Node): string | undefined {
  for (const { spec } of claims) {
    const volume = storage.volume(spec.volumeName!);
    if (!volume) return 'node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)';
    if (!reaches(volume, node)) return conflict;
  }
  return undefined;
}

/** Each claim takes the smallest volume that serves it here, so that no two take the same. */
function unboundReason(claims: readonly PersistentVolumeClaim[], storage: Storage, node: Node): string | undefined {
  const taken = new Set<PersistentVolume>();
  for (const claim of claims) {
    const volume = storage.volumes().find((one) => !taken.has(one) && serves(one, claim) && reaches(one, node));
    if (volume) taken.add(volume);
    else if (!canProvision(classOf(claim, storage), node)) return none;
  }
  return undefined;
}

function canProvision(storageClass: StorageClass | undefined, { metadata }: Node): boolean {
  if (!storageClass || storageClass.provisioner === noProvisioner) return false;
  const topologies = storageClass.allowedTopologies ?? [];
  return (
    topologies.length === 0 ||
    topologies.some(({ matchLabelExpressions = [] }) =>
      matchLabelExpressions.every(({ key, values }) => values.includes(metadata.labels?.[key] ?? '')),
    )
  );
}
