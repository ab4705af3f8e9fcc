import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import type { PersistentVolume } from '../../api/kinds/persistent-volume.ts';
import { isMounted, mount, unmount } from './mounts.ts';
import { type PersistentType, VolumeError, type VolumePlace, type VolumeType } from './volume.ts';

interface NfsSource {
  server: string;
  path: string;
  readOnly?: boolean;
}

const helpers = ['/sbin/mount.nfs', '/usr/sbin/mount.nfs'];

/** A directory of a file server, mounted by the machine's own mount.nfs. */
export const nfs: VolumeType = {
  source: 'nfs',
  prepare: ({ nfs: source }, place) => mountNfs(source as NfsSource, [], place),
  remove: unmount,
};

export const persistentNfs: PersistentType = {
  source: 'nfs',
  prepare: ({ spec }: PersistentVolume, place) => mountNfs(spec.nfs!, spec.mountOptions ?? [], place),
};

async function mountNfs({ server, path, readOnly }: NfsSource, options: string[], place: VolumePlace): Promise<string> {
  if (!helpers.some((helper) => existsSync(helper)))
    throw new VolumeError('this machine has no mount.nfs: install nfs-common (Debian) or nfs-utils (Red Hat) on it');
  await mkdir(place.path, { recursive: true });
  if (!(await isMounted(place.path)))
    await mount(nfsArguments({ server, path, readOnly: readOnly === true }, options, place.path));
  return place.path;
}

/** What mount(8) is told; an IPv6 address stands in brackets. */
export function nfsArguments(
  { server, path, readOnly }: Required<NfsSource>,
  options: string[],
  target: string,
): string[] {
  const flags = [...(readOnly ? ['ro'] : []), ...options];
  const host = server.includes(':') && !server.startsWith('[') ? `[${server}]` : server;
  return ['-t', 'nfs', ...(flags.length > 0 ? ['-o', flags.join()] : []), `${host}:${path}`, target];
}
