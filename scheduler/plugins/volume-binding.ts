import type { CSIStorageCapacity } from '../../api/kinds/csi-storage-capacity.ts';
import type { Node } from '../../api/kinds/node.ts';
import type { PersistentVolume } from '../../api/kinds/persistent-volume.ts';
import type { PersistentVolumeClaim } from '../../api/kinds/persistent-volume-claim.ts';
import type { StorageClass } from '../../api/kinds/storage-class.ts';
import { compareQuantities } from '../../api/quantity.ts';
import { matchesLabelSelector } from '../../api/selector.ts';
import type { ClaimedVolumes } from '../cluster.ts';
import type { Ask, Plugin, Storage } from '../plugin.ts';
import { namespaceOf } from '../pod-selection.ts';
import { promised, reaches, volumeFor } from './promised-volumes.ts';
import { claimNames, claimsOf } from './volumes.ts';

const conflict = 'node(s) had volume node affinity conflict';
const none = "node(s) didn't find available persistent volumes to bind";
const selectedNode = 'volume.kubernetes.io/selected-node';
const noProvisioner = 'kubernetes.io/no-provisioner';

/**
 * The pod's claims must be bound to volumes that the node can reach; those that wait for their first consumer must find a
 * volume for the node that no pod before them will have, or a provisioner that makes one there and has the room.
 */
export const volumeBinding: Plugin = {
  name: 'VolumeBinding',
  filter: (ask) => {
    const { pod, world } = ask;
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
    const choose = waiting.length > 0 ? chooser(ask, storage, waiting) : undefined;
    return ({ node }) => boundReason(bound, storage, node) ?? reasonOf(choose?.(node));
  },
};

/** What the pod's claims that wait for their first consumer will be bound to on a node that the policy lets it have. */
export function volumesOn(node: Node, ask: Ask): ClaimedVolumes {
  const storage = ask.world?.storage;
  const claims = storage ? claimsOf(ask.pod, storage).filter((claim) => claim !== undefined) : [];
  const waiting = claims.filter(({ spec }) => !spec.volumeName);
  const chosen = storage && waiting.length > 0 ? chooser(ask, storage, waiting)(node) : {};
  return typeof chosen === 'string' ? {} : chosen;
}

const reasonOf = (chosen: ClaimedVolumes | string | undefined): string | undefined =>
  typeof chosen === 'string' ? chosen : undefined;

const classOf = ({ spec }: PersistentVolumeClaim, storage: Storage): StorageClass | undefined =>
  spec.storageClassName ? storage.storageClass(spec.storageClassName) : undefined;

function boundReason(claims: readonly PersistentVolumeClaim[], storage: Storage, node: Node): string | undefined {
  for (const { spec } of claims) {
    const volume = storage.volume(spec.volumeName!);
    if (!volume) return 'node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)';
    if (!reaches(volume, node)) return conflict;
  }
  return undefined;
}

/** Each claim takes a volume that is promised to nobody else, or one is made for it here; or why that cannot be. */
function chooser(ask: Ask, storage: Storage, claims: readonly PersistentVolumeClaim[]) {
  const volumes = storage.volumes();
  const others = promised(ask, storage, volumes);
  return (node: Node): ClaimedVolumes | string => {
    const taken = new Set(others.taken);
    const chosen: Record<string, string> = {};
    const choose = (claim: PersistentVolumeClaim, { metadata }: PersistentVolume) => {
      chosen[claim.metadata.name!] = metadata.name!;
    };
    for (const claim of claims) {
      const selected = claim.metadata.annotations?.[selectedNode];
      if (selected && selected !== node.metadata.name) return none;
      const promise = others.of(claim);
      const isHere = promise?.volume
        ? reaches(promise.volume, node)
        : promise?.node.metadata.name === node.metadata.name;
      if (promise && !isHere) return none;
      if (promise?.volume) choose(claim, promise.volume);
      if (promise) continue;
      const volume = volumeFor(claim, node, volumes, taken);
      const why = volume ? undefined : provisionReason(claim, storage, node);
      if (why !== undefined) return why;
      if (!volume) continue;
      taken.add(volume);
      choose(claim, volume);
    }
    return chosen;
  };
}

function provisionReason(claim: PersistentVolumeClaim, storage: Storage, node: Node): string | undefined {
  const storageClass = classOf(claim, storage);
  if (!storageClass || storageClass.provisioner === noProvisioner) return none;
  const { labels = {} } = node.metadata;
  const topologies = storageClass.allowedTopologies ?? [];
  const isAllowed = topologies.some(({ matchLabelExpressions = [] }) =>
    matchLabelExpressions.every(({ key, values }) => values.includes(labels[key] ?? '')),
  );
  if (topologies.length > 0 && !isAllowed) return none;
  const size = claim.spec.resources?.requests?.['storage'];
  const capacities = size === undefined ? undefined : storage.capacities(storageClass);
  const suffices = ({ nodeTopology, capacity, maximumVolumeSize = capacity }: CSIStorageCapacity) =>
    maximumVolumeSize !== undefined &&
    compareQuantities(maximumVolumeSize, size!) >= 0 &&
    nodeTopology !== undefined &&
    matchesLabelSelector(nodeTopology, labels);
  return !capacities || capacities.some(suffices) ? undefined : 'node(s) did not have enough free storage';
}
