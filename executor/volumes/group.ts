import { existsSync } from 'node:fs';
import { type FileHandle, chmod, chown, mkdir, open, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { named, pathOf } from './handles.ts';
import type { VolumePlace } from './volume.ts';

/** The group may do what the owner usually may; what is made in a directory belongs to its group. */
const ofFile = 0o660;
const ofDirectory = 0o2770;

/**
 * Gives a volume to the group of its pod, with all that is in it, once in the life of the pod; with `OnRootMismatch` only when
 * its top is not given yet, which is therefore the last. Who uses the volume meanwhile may put links into it: so the tree is
 * walked by handles, and a link is given but never followed.
 */
export async function giveToGroup(path: string, { pod, path: own }: Pick<VolumePlace, 'pod' | 'path'>): Promise<void> {
  const { fsGroup, fsGroupChangePolicy } = pod.spec.securityContext ?? {};
  const done = `${own}.group`;
  if (fsGroup === undefined || existsSync(done)) return;
  const top = await open(path);
  try {
    const { gid, mode } = await top.stat();
    const isGiven = gid === fsGroup && (mode & ofDirectory) === ofDirectory;
    if (!isGiven || fsGroupChangePolicy !== 'OnRootMismatch') await give(top, fsGroup);
  } finally {
    await top.close();
  }
  await mkdir(dirname(done), { recursive: true, mode: 0o750 });
  await writeFile(done, '');
}

async function give(handle: FileHandle, group: number): Promise<void> {
  const found = await handle.stat();
  const path = pathOf(handle);
  if (found.isDirectory())
    for (const name of await readdir(path)) {
      const inside = await open(join(path, name), named).catch(unlessGone);
      await (inside && give(inside, group).finally(() => inside.close()));
    }
  if (found.gid !== group) await chown(path, -1, group);
  if (found.isSymbolicLink()) return;
  const mode = found.mode & 0o7777;
  const wanted = mode | (found.isDirectory() ? ofDirectory : ofFile);
  // A change of group may have taken bits away.
  if (wanted !== mode || found.gid !== group) await chmod(path, wanted);
}

function unlessGone(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
