import { chmod, chown, stat } from 'node:fs/promises';
import { VolumeError, type PersistentType } from './volume.ts';

/** A directory of this machine that somebody made for the purpose; it must be there. */
export const local: PersistentType = {
  source: 'local',
  async prepare({ local: source }, { pod }) {
    const { path } = source!;
    const found = await stat(path).catch(() => undefined);
    if (!found) throw new VolumeError(`path "${path}" does not exist`);
    const { fsGroup, fsGroupChangePolicy } = pod.spec.securityContext ?? {};
    // Only the top: what lies below was made by earlier pods of the same group.
    if (fsGroup !== undefined && (found.gid !== fsGroup || fsGroupChangePolicy !== 'OnRootMismatch')) {
      await chown(path, -1, fsGroup);
      await chmod(path, (found.mode & 0o7777) | 0o2770);
    }
    return path;
  },
};
