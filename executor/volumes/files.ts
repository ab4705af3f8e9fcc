import { randomBytes } from 'node:crypto';
import { chown, chmod, lstat, mkdir, readdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import type { KeyToPath, Pod, Volume } from '../../api/kinds/pod.ts';
import { containersOf } from '../containers.ts';
import { holds } from '../plain-file.ts';
import { VolumeError, type VolumePlace } from './volume.ts';

export interface VolumeFile {
  /** Relative to the volume. */
  path: string;
  data: Buffer;
  mode: number;
  /** The user it belongs to; the executor's own unless told. */
  owner?: number | undefined;
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

/** Puts files into a volume of a pod: they belong to its group, and what is mounted below the volume has a place there. */
export async function writeVolume(
  { name }: Volume,
  { pod, path }: VolumePlace,
  files: readonly VolumeFile[],
): Promise<string> {
  await writeFiles(path, files, pod.spec.securityContext?.fsGroup, nestedMounts(pod, name));
  return path;
}

/**
 * Puts files into a directory so that a reader sees all old ones or all new ones, as Kubernetes does:
 *
 *   ..2026_11_21_06_00_00.123-1f0c/key     the files
 *   ..data → ..2026_…                      swapped by one rename
 *   key → ..data/key                       what users see
 *   nested/                                where other volumes are mounted, which the runtime could not make in this one
 *
 * Does nothing when nothing changed. Containers only read it, but where nothing isolates them anybody may have put something
 * into it: so everything is made beside it and moved in, links in it are followed only to where we put them, and what is not
 * ours goes.
 */
export async function writeFiles(
  directory: string,
  files: readonly VolumeFile[],
  group?: number,
  nested: readonly string[] = [],
): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o755 });
  const names = new Set(files.map(({ path }) => topOf(path)));
  const places = nested.filter((path) => !names.has(topOf(path)));
  for (const place of places) await makePlace(directory, place);
  const current = await linkAt(join(directory, '..data'));
  if (current !== undefined && isOurs.test(current) && (await sameFiles(join(directory, current), files))) return;
  const fresh = `..${new Date().toISOString().replace(/[-:T]/g, '_').replace('Z', '')}-${randomBytes(4).toString('hex')}`;
  const beside = `${directory}.new`;
  await rm(beside, { recursive: true, force: true });
  await mkdir(beside, { mode: 0o755 });
  for (const file of files) await writeOne(beside, file, group);
  await rename(beside, join(directory, fresh));
  await link(directory, '..data', fresh);
  for (const name of names) await link(directory, name, join('..data', name));
  const kept = new Set(['..data', fresh, ...names, ...places.map(topOf)]);
  for (const name of await readdir(directory))
    if (!kept.has(name)) await rm(join(directory, name), { recursive: true, force: true });
}

/** What we call a directory of files. */
const isOurs = /^\.\.\d{4}(_\d\d){5}\.\d{3}(-[0-9a-f]{8})?$/;

const topOf = (path: string): string => path.split('/')[0]!;

/** Where other volumes are mounted below one, relative to it: the outermost are enough. */
function nestedMounts(pod: Pod, volume: string): string[] {
  return containersOf(pod).flatMap(({ volumeMounts = [] }) => {
    const paths = volumeMounts.map(({ mountPath }) => normalize(mountPath).replace(/\/$/, ''));
    return volumeMounts.flatMap(({ name }, i) => {
      if (name !== volume) return [];
      return paths.flatMap((path) => (path.startsWith(`${paths[i]!}/`) ? [path.slice(paths[i]!.length + 1)] : []));
    });
  });
}

/** A directory below another, never through a link. */
async function makePlace(directory: string, path: string): Promise<void> {
  let place = directory;
  for (const part of path.split('/')) {
    place = join(place, part);
    await mkdir(place, { mode: 0o755 }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
    if (!(await lstat(place)).isDirectory()) throw new VolumeError(`nothing can be mounted at "${path}" in the volume`);
  }
}

async function writeOne(directory: string, { path, data, mode, owner }: VolumeFile, group = -1): Promise<void> {
  const target = join(directory, path);
  await mkdir(dirname(target), { recursive: true, mode: 0o755 });
  await writeFile(target, data);
  if (owner !== undefined || group !== -1) await chown(target, owner ?? -1, group);
  await chmod(target, group === -1 ? mode : mode | 0o040); // the umask must not take bits away
}

/** In one step, whatever has that name. */
async function link(directory: string, name: string, target: string): Promise<void> {
  const path = join(directory, name);
  const found = await linkAt(path);
  if (found === target) return;
  const beside = `${directory}.link`;
  await rm(beside, { force: true });
  await symlink(target, beside);
  if (found === undefined) await rm(path, { recursive: true, force: true }); // a directory cannot be renamed over
  await rename(beside, path);
}

async function sameFiles(directory: string, files: readonly VolumeFile[]): Promise<boolean> {
  const there = await listFiles(directory);
  if (there?.length !== files.length) return false;
  for (const { path, data } of files)
    if (!there.includes(join(directory, path)) || !(await holds(join(directory, path), data))) return false;
  return true;
}

/** All that are no directories, none below a link; undefined where that is no directory itself. */
async function listFiles(directory: string): Promise<string[] | undefined> {
  const found = await lstat(directory).catch(ifMissing);
  if (!found?.isDirectory()) return undefined;
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => !entry.isDirectory()).map(({ parentPath, name }) => join(parentPath, name));
}

/** Undefined where there is no link. */
const linkAt = (path: string): Promise<string | undefined> => readlink(path).catch(ifMissing);

function ifMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'EINVAL') return undefined;
  throw error;
}
