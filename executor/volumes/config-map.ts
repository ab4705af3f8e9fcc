import type { ConfigMap } from '../../api/kinds/config-map.ts';
import type { KeyToPath } from '../../api/kinds/pod.ts';
import { type VolumeFile, selectFiles, writeFiles } from './files.ts';
import { type VolumeFacts, VolumeError, type VolumeType } from './volume.ts';

export interface ConfigMapSource {
  name?: string;
  items?: KeyToPath[];
  optional?: boolean;
}

export const configMap: VolumeType = {
  source: 'configMap',
  async prepare({ configMap: source }, { pod, path, facts }) {
    const files = await configMapFiles(source!, source!.defaultMode ?? 0o644, facts);
    await writeFiles(path, files, pod.spec.securityContext?.fsGroup);
    return path;
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
