import type { Pod } from '../../api/kinds/pod.ts';
import { podField, resourceField } from '../env.ts';
import { type VolumeFile, fileAt, writeVolume } from './files.ts';
import type { VolumeFacts, VolumeType } from './volume.ts';

export interface DownwardItem {
  path: string;
  mode?: number;
  fieldRef?: { fieldPath: string };
  resourceFieldRef?: { containerName?: string; resource: string; divisor?: string };
}

export const downwardApi: VolumeType = {
  source: 'downwardAPI',
  isReadOnly: () => true,
  prepare(volume, place) {
    const { items = [], defaultMode = 0o644 } = volume.downwardAPI as { items?: DownwardItem[]; defaultMode?: number };
    return writeVolume(volume, place, downwardFiles(items, defaultMode, place.pod, place.facts));
  },
};

export const downwardFiles = (
  items: readonly DownwardItem[],
  defaultMode: number,
  pod: Pod,
  facts: VolumeFacts,
): VolumeFile[] =>
  items.map(({ path, mode = defaultMode, fieldRef, resourceFieldRef }) => {
    const text = fieldRef
      ? podField(pod, fieldRef.fieldPath, facts)
      : resourceField(pod, pod.spec.containers[0]!, resourceFieldRef!, facts.allocatable);
    return fileAt('downwardAPI', path, Buffer.from(text), mode);
  });
