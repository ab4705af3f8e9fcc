import { chmod, chown, stat } from 'node:fs/promises';
import type { Pod } from '../../api/kinds/pod.ts';

/** Gives a volume to the group of its pod. Only the top: what lies below was made by earlier pods of the same group. */
export async function giveToGroup(path: string, { spec }: Pod): Promise<void> {
  const { fsGroup, fsGroupChangePolicy } = spec.securityContext ?? {};
  if (fsGroup === undefined) return;
  const { gid, mode } = await stat(path);
  if (gid === fsGroup && fsGroupChangePolicy === 'OnRootMismatch') return;
  await chown(path, -1, fsGroup);
  await chmod(path, (mode & 0o7777) | 0o2770);
}
