import type { ConfigMap } from '../../api/kinds/config-map.ts';
import type { KeyToPath } from '../../api/kinds/pod.ts';
import { type VolumeFile, selectFiles, writeVolume } from './files.ts';
import { type VolumeFacts, VolumeError, type VolumeType } from './volume.ts';

export interface ConfigMapSource {
  name?: string;
  items?: KeyToPath[];
  optional?: boolean;
}

export const configMap: VolumeType = {
  source: 'configMap',
  isReadOnly: () => true,
  async prepare(volume, place) {
    const source = volume.configMap!;
    return writeVolume(volume, place, await configMapFiles(source, source.defaultMode ?? 0o644, place.facts));
  },
};

export async function configMapFiles(
  { name = '', items, optional = false }: ConfigMapSource,
  mode: number,
  facts: VolumeFacts,
): Promise<VolumeFile[]> {
  const map = await facts.configMap(name);
  if (!map && !optional) throw new VolumeError(`configmap "${name}" not found`);
  return map ? selectFiles(`configmap "${name}"`, bytesOf(map), items, mode, optional) : [];
}

const bytesOf = ({ data = {}, binaryData = {} }: ConfigMap): Record<string, Buffer> =>
  Object.fromEntries([
    ...Object.entries(data).map(([key, text]) => [key, Buffer.from(text)] as const),
    ...Object.entries(binaryData).map(([key, text]) => [key, Buffer.from(text, 'base64')] as const),
  ]);
