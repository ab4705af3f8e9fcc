import type { KeyToPath } from '../../api/kinds/pod.ts';
import { type VolumeFile, selectFiles, writeVolume } from './files.ts';
import { type VolumeFacts, VolumeError, type VolumeType } from './volume.ts';

/** Files of a secret lie on this machine's disk below a directory that only the executor's user may enter. */
export const secret: VolumeType = {
  source: 'secret',
  isReadOnly: () => true,
  async prepare(volume, place) {
    const { secretName = '', items, optional, defaultMode = 0o644 } = volume.secret!;
    const wanted = { name: secretName, ...(items ? { items } : {}), ...(optional === undefined ? {} : { optional }) };
    return writeVolume(volume, place, await secretFiles(wanted, defaultMode, place.facts));
  },
};

export async function secretFiles(
  { name = '', items, optional = false }: { name?: string; items?: KeyToPath[]; optional?: boolean },
  mode: number,
  facts: VolumeFacts,
): Promise<VolumeFile[]> {
  const found = await facts.secret(name);
  if (!found && !optional) throw new VolumeError(`secret "${name}" not found`);
  const data = Object.fromEntries(
    Object.entries(found?.data ?? {}).map(([key, text]) => [key, Buffer.from(text, 'base64')]),
  );
  return found ? selectFiles(`secret "${name}"`, data, items, mode, optional) : [];
}
