import { chown, chmod, mkdir, readFile, readdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { KeyToPath } from '../../api/kinds/pod.ts';
import { VolumeError } from './volume.ts';

export interface VolumeFile {
  /** Relative to the volume. */
  path: string;
  data: Buffer;
  mode: number;
}

/** Which keys of a config map or secret become which files. Throws VolumeError for a key that must be there. */
export function selectFiles(
  what: string,
  data: Readonly<Record<string, Buffer>>,
  items: readonly KeyToPath[] | undefined,
  defaultMode: number,
  optional: boolean,
): VolumeFile[] {
  if (!items) return Object.entries(data).map(([key, bytes]) => fileAt(what, key, bytes, defaultMode));
  return items.flatMap(({ key, path, mode }) => {
    const bytes = Object.hasOwn(data, key) ? data[key] : undefined;
    if (bytes) return [fileAt(what, path, bytes, mode ?? defaultMode)];
    if (optional) return [];
    throw new VolumeError(`${what} references non-existent key: ${key}`);
  });
}

/** A path may go down, never up or out. */
export function fileAt(what: string, path: string, data: Buffer, mode: number): VolumeFile {
  const parts = path.split('/');
  if (path.startsWith('/') || parts.some((part) => part === '..' || part === '') || path.startsWith('..'))
    throw new VolumeError(`${what} has the path "${path}", which would leave the volume`);
  return { path, data, mode };
}

/**
 * Puts files into a directory so that a reader sees all old ones or all new ones, as Kubernetes does:
 *
 *   ..2026_11_21_06_00_00.123/key     the files
 *   ..data → ..2026_…                 swapped by one rename
 *   key → ..data/key                  what users see
 *
 * Does nothing when nothing changed.
 */
export async function writeFiles(directory: string, files: readonly VolumeFile[], group?: number): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o755 });
  const current = await linkAt(join(directory, '..data'));
  if (current !== undefined && (await sameFiles(join(directory, current), files))) return;
  const fresh = `..${new Date().toISOString().replace(/[-:T]/g, '_').replace('Z', '')}`;
  for (const file of files) await writeOne(join(directory, fresh), file, group);
  await mkdir(join(directory, fresh), { recursive: true, mode: 0o755 });
  await rm(join(directory, '..data_tmp'), { force: true });
  await symlink(fresh, join(directory, '..data_tmp'));
  await rename(join(directory, '..data_tmp'), join(directory, '..data'));
  await linkNames(directory, new Set(files.map(({ path }) => path.split('/')[0]!)));
  if (current !== undefined && current !== fresh) await rm(join(directory, current), { recursive: true, force: true });
}

async function writeOne(directory: string, { path, data, mode }: VolumeFile, group: number | undefined): Promise<void> {
  const target = join(directory, path);
  await mkdir(dirname(target), { recursive: true, mode: 0o755 });
  await writeFile(target, data);
  await chmod(target, group === undefined ? mode : mode | 0o040); // the umask must not take bits away
  if (group !== undefined) await chown(target, -1, group);
}

async function linkNames(directory: string, names: ReadonlySet<string>): Promise<void> {
  for (const name of await readdir(directory))
    if (!name.startsWith('..') && !names.has(name)) await rm(join(directory, name), { recursive: true, force: true });
  for (const name of names)
    if ((await linkAt(join(directory, name))) === undefined) await symlink(join('..data', name), join(directory, name));
}

async function sameFiles(directory: string, files: readonly VolumeFile[]): Promise<boolean> {
  const there = await listFiles(directory);
  if (there.length !== files.length) return false;
  for (const { path, data } of files) {
    const old = await readFile(join(directory, path)).catch(ifMissing);
    if (!old?.equals(data)) return false;
  }
  return true;
}

const listFiles = async (directory: string): Promise<string[]> =>
  ((await readdir(directory, { recursive: true, withFileTypes: true }).catch(ifMissing)) ?? [])
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);

const linkAt = (path: string): Promise<string | undefined> => readlink(path).catch(ifMissing);

function ifMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}
