import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { mesosVolumeDriver } from '../../api/kinds/names.ts';
import { local } from './local.ts';
import { VolumeError, type PersistentType } from './volume.ts';

/**
 * A persistent volume of Mesos: the agent shows it in the executor's sandbox, under its persistence id, as long as the
 * pod's task lives. What a symbolic link there leads to outlives the executor.
 */
export const mesos: PersistentType = {
  source: 'csi',
  isFor: ({ spec: { csi } }) => csi?.driver === mesosVolumeDriver,
  async prepare(volume, place) {
    const { volumeHandle } = volume.spec.csi!;
    const path = await realpath(join(place.facts.sandbox, volumeHandle)).catch(() => undefined);
    if (path === undefined)
      throw new VolumeError(`the Mesos agent has not brought volume "${volumeHandle}" into the executor's sandbox yet`);
    return local.prepare({ ...volume, spec: { ...volume.spec, local: { path } } }, place);
  },
};
