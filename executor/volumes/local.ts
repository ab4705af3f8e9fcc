import { stat } from 'node:fs/promises';
import { giveToGroup } from './group.ts';
import { VolumeError, type PersistentType } from './volume.ts';

/** A directory of this machine that somebody made for the purpose; it must be there. */
export const local: PersistentType = {
  source: 'local',
  async prepare({ spec: { local: source } }, place) {
    const { path } = source!;
    if (!(await stat(path).catch(() => undefined))) throw new VolumeError(`path "${path}" does not exist`);
    await giveToGroup(path, place);
    return path;
  },
};
