import { createHash } from 'node:crypto';
import { equal } from '../../lib/equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { immutable, required } from '../field-error.ts';
import { kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';
import { checkDnsSubdomain, checkQualifiedName } from '../names.ts';
import { mustBeNamed } from '../rules.ts';
import type { PersistentVolumeSpec } from './persistent-volume.ts';

export interface VolumeAttachment extends KubeObject {
  spec: {
    attacher: string;
    nodeName: string;
    source: { persistentVolumeName?: string; inlineVolumeSpec?: PersistentVolumeSpec };
  };
  status?: {
    attached: boolean;
    attachmentMetadata?: Record<string, string>;
    attachError?: VolumeError;
    detachError?: VolumeError;
  };
}

interface VolumeError {
  time?: string;
  message?: string;
  errorCode?: number;
}

/** By which a kubelet finds the attachment of a CSI volume to its node. */
export const attachmentName = (handle: string, driver: string, node: string): string =>
  `csi-${createHash('sha256').update(`${handle}${driver}${node}`).digest('hex')}`;

export const VolumeAttachment = kind<VolumeAttachment>({
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'VolumeAttachment',
  plural: 'volumeattachments',
  namespaced: false,
  subresources: ['status'],
  generation: false,
  unconditionalUpdate: false,
  prepareCreate: (attachment) => {
    attachment.status = { attached: false };
  },
  validate: ({ spec }) => [
    ...mustBeNamed(spec?.attacher, (name) => checkQualifiedName(name.toLowerCase()), 'spec.attacher'),
    ...mustBeNamed(spec?.nodeName, checkDnsSubdomain, 'spec.nodeName'),
    ...((spec?.source?.persistentVolumeName === undefined) === (spec?.source?.inlineVolumeSpec === undefined)
      ? [required('spec.source', 'must specify exactly one of inlineVolumeSpec and persistentVolumeName')]
      : []),
  ],
  validateUpdate: ({ spec }, old) => (equal(spec, old.spec) ? [] : [immutable('spec', spec)]),
  columns: [
    nameColumn,
    { name: 'Attacher', format: 'name', value: ({ spec }) => spec.attacher },
    { name: 'PV', value: ({ spec }) => spec.source.persistentVolumeName ?? '' },
    { name: 'Node', value: ({ spec }) => spec.nodeName },
    { name: 'Attached', type: 'boolean', value: ({ status }) => status?.attached ?? false },
    ageColumn,
  ],
});
