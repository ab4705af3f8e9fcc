import { ageColumn, nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import { timestamp, type KubeObject } from '../meta.ts';
import { validateVolume, validateVolumeUpdate } from '../validate-volume.ts';
import { formatAccessModes, storageClassOf } from '../volume-columns.ts';
import type { ObjectReference } from './event.ts';
import type { NodeSelector } from './pod.ts';

export interface PersistentVolume extends KubeObject {
  spec: PersistentVolumeSpec;
  status?: {
    phase?: 'Pending' | 'Available' | 'Bound' | 'Released' | 'Failed';
    message?: string;
    reason?: string;
    lastPhaseTransitionTime?: string;
  };
}

/** Exactly one source (`hostPath`, `csi`, `nfs` …) beside the named fields. */
export interface PersistentVolumeSpec {
  capacity?: Record<string, string>;
  accessModes?: AccessMode[];
  claimRef?: ObjectReference;
  persistentVolumeReclaimPolicy?: 'Retain' | 'Delete' | 'Recycle';
  storageClassName?: string;
  mountOptions?: string[];
  volumeMode?: 'Filesystem' | 'Block';
  nodeAffinity?: { required?: NodeSelector };
  volumeAttributesClassName?: string;
  hostPath?: { path: string; type?: string };
  csi?: { driver: string; volumeHandle: string; [field: string]: unknown };
  local?: { path: string; fsType?: string };
  nfs?: { server: string; path: string; readOnly?: boolean };
  [source: string]: unknown;
}

export type AccessMode = 'ReadWriteOnce' | 'ReadOnlyMany' | 'ReadWriteMany' | 'ReadWriteOncePod';

export const PersistentVolume = kind<PersistentVolume>({
  group: '',
  version: 'v1',
  kind: 'PersistentVolume',
  plural: 'persistentvolumes',
  short: ['pv'],
  namespaced: false,
  subresources: ['status'],
  generation: false,
  defaults: (volume) => {
    volume.status ??= {};
    volume.status.phase ??= 'Pending';
    if (!volume.spec) return;
    volume.spec.persistentVolumeReclaimPolicy ??= 'Retain';
    volume.spec.volumeMode ??= 'Filesystem';
    if (volume.spec.hostPath) volume.spec.hostPath.type ??= '';
  },
  prepareCreate: (volume) => {
    volume.status = { phase: 'Pending', lastPhaseTransitionTime: timestamp(Date.now()) };
  },
  prepareStatus: (volume, old) => {
    if (volume.status?.phase && volume.status.phase !== old.status?.phase)
      volume.status.lastPhaseTransitionTime = timestamp(Date.now());
  },
  validate: validateVolume,
  validateUpdate: validateVolumeUpdate,
  columns: [
    nameColumn,
    { name: 'Capacity', value: ({ spec }) => spec.capacity?.['storage'] ?? '0' },
    { name: 'Access Modes', value: ({ spec }) => formatAccessModes(spec.accessModes) },
    { name: 'Reclaim Policy', value: ({ spec }) => spec.persistentVolumeReclaimPolicy ?? '' },
    { name: 'Status', value: ({ metadata, status }) => (metadata.deletionTimestamp ? 'Terminating' : status?.phase) },
    {
      name: 'Claim',
      value: ({ spec: { claimRef } }) => (claimRef ? `${claimRef.namespace ?? ''}/${claimRef.name ?? ''}` : ''),
    },
    { name: 'StorageClass', value: ({ metadata, spec }) => storageClassOf(metadata, spec.storageClassName) },
    { name: 'VolumeAttributesClass', value: ({ spec }) => spec.volumeAttributesClassName ?? '<unset>' },
    { name: 'Reason', value: ({ status }) => status?.reason ?? '' },
    ageColumn,
    { name: 'VolumeMode', priority: 1, value: ({ spec }) => spec.volumeMode ?? '<unset>' },
  ],
});
