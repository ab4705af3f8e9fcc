import { ageColumn, nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import type { Condition, KubeObject, LabelSelector } from '../meta.ts';
import { validateClaim, validateClaimUpdate } from '../validate-volume.ts';
import { formatAccessModes, storageClassOf } from '../volume-columns.ts';
import type { AccessMode } from './persistent-volume.ts';
import type { ResourceRequirements } from './pod.ts';

export interface PersistentVolumeClaim extends KubeObject {
  spec: PersistentVolumeClaimSpec;
  status?: {
    phase?: 'Pending' | 'Bound' | 'Lost';
    accessModes?: AccessMode[];
    capacity?: Record<string, string>;
    conditions?: Condition[];
    allocatedResources?: Record<string, string>;
    allocatedResourceStatuses?: Record<string, string>;
    currentVolumeAttributesClassName?: string;
  };
}

export interface PersistentVolumeClaimSpec {
  accessModes?: AccessMode[];
  selector?: LabelSelector;
  resources?: ResourceRequirements;
  volumeName?: string;
  storageClassName?: string;
  volumeMode?: 'Filesystem' | 'Block';
  dataSource?: DataSource;
  dataSourceRef?: DataSource & { namespace?: string };
  volumeAttributesClassName?: string;
}

interface DataSource {
  apiGroup?: string;
  kind: string;
  name: string;
}

export const PersistentVolumeClaim = kind<PersistentVolumeClaim>({
  group: '',
  version: 'v1',
  kind: 'PersistentVolumeClaim',
  plural: 'persistentvolumeclaims',
  short: ['pvc'],
  namespaced: true,
  subresources: ['status'],
  generation: false,
  defaults: defaultClaim,
  prepareCreate: (claim) => {
    claim.status = { phase: 'Pending' };
  },
  validate: validateClaim,
  validateUpdate: validateClaimUpdate,
  columns: [
    nameColumn,
    { name: 'Status', value: ({ metadata, status }) => (metadata.deletionTimestamp ? 'Terminating' : status?.phase) },
    { name: 'Volume', value: ({ spec }) => spec.volumeName ?? '' },
    {
      name: 'Capacity',
      value: ({ spec, status }) => (spec.volumeName ? (status?.capacity?.['storage'] ?? '0') : ''),
    },
    {
      name: 'Access Modes',
      value: ({ spec, status }) => (spec.volumeName ? formatAccessModes(status?.accessModes) : ''),
    },
    { name: 'StorageClass', value: ({ metadata, spec }) => storageClassOf(metadata, spec.storageClassName) },
    { name: 'VolumeAttributesClass', value: ({ spec }) => spec.volumeAttributesClassName ?? '<unset>' },
    ageColumn,
    { name: 'VolumeMode', priority: 1, value: ({ spec }) => spec.volumeMode ?? '<unset>' },
  ],
});

/** Defaults of a claim, whether it stands alone or as a template in a StatefulSet. */
export function defaultClaim(claim: PersistentVolumeClaim): void {
  claim.status ??= {};
  claim.status.phase ??= 'Pending';
  if (claim.spec) defaultClaimSpec(claim.spec);
}

/** The two ways to name what a volume starts from say the same; an ephemeral volume's template has them too. */
export function defaultClaimSpec(spec: PersistentVolumeClaimSpec): void {
  spec.volumeMode ??= 'Filesystem';
  if (spec.dataSource) spec.dataSourceRef ??= { ...spec.dataSource };
  else if (spec.dataSourceRef && !spec.dataSourceRef.namespace && isClassic(spec.dataSourceRef))
    spec.dataSource = { ...spec.dataSourceRef };
}

const isClassic = ({ apiGroup = '', kind: name }: DataSource): boolean =>
  (apiGroup === '' && name === 'PersistentVolumeClaim') ||
  (apiGroup === 'snapshot.storage.k8s.io' && name === 'VolumeSnapshot');
