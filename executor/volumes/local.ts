import { stat } from 'node:fs/promises';
import { deviceAt, isBlock } from './block.ts';
import { giveToGroup } from './group.ts';
import { VolumeError, type PersistentType } from './volume.ts';

/** A directory of this machine that somebody made for the purpose; it must be there. */
export const local: PersistentType = {
  source: 'local',
  hasDevices: true,
  async prepare(volume, place) {
    const { path } = volume.spec.local!;
    if (isBlock(volume)) return deviceAt(path);
    if (!(await stat(path).catch(() => undefined))) throw new VolumeError(`path "${path}" does not exist`);
    await giveToGroup(path, place);
    return path;
  },
};
