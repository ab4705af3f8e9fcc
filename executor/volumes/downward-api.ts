import type { Pod } from '../../api/kinds/pod.ts';
import { podField, resourceField } from '../env.ts';
import { type VolumeFile, fileAt, writeFiles } from './files.ts';
import type { VolumeFacts, VolumeType } from './volume.ts';

export interface DownwardItem {
  path: string;
  mode?: number;
  fieldRef?: { fieldPath: string };
  resourceFieldRef?: { containerName?: string; resource: string; divisor?: string };
}

export const downwardApi: VolumeType = {
  source: 'downwardAPI',
  async prepare(volume, { pod, path, facts }) {
    const { items = [], defaultMode = 0o644 } = volume.downwardAPI as { items?: DownwardItem[]; defaultMode?: number };
    await writeFiles(path, downwardFiles(items, defaultMode, pod, facts), pod.spec.securityContext?.fsGroup);
    return path;
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
