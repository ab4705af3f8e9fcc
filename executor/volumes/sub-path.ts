import { type FileHandle, mkdir, open, readlink, realpath, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { O_PATH, named, pathOf } from './handles.ts';
import { mount, unmount } from './mounts.ts';
import { VolumeError } from './volume.ts';

const mostLinks = 40;

/**
 * A part of a volume, as a mount that stays what it is: containers of the pod may put a link in the place of any directory
 * at any moment, so the way is walked by handles, each name looked up in the directory that was opened before it, and what
 * was reached is bound to a place of the pod's own. Links count only as far as they stay in the volume. Missing directories
 * are made.
 *
 *   volume ─▶ open "a" in it ─▶ open "b" in that ─▶ bind /proc/<us>/fd/<b> to `place`
 *
 * Answers the path to mount: `place`, or where it is not to be bound, or may not be (without root), the path itself. Throws
 * VolumeError.
 */
export async function subPathMount(volume: string, subPath: string, place: string | undefined): Promise<string> {
  if (subPath.startsWith('/') || subPath.split('/').includes('..')) throw leaves(subPath);
  const base = await realpath(volume);
  const way: FileHandle[] = [await open(base, O_PATH)];
  try {
    const end = await walk(way, subPath, base);
    return place !== undefined && process.getuid?.() === 0 ? await bind(end, place) : await readlink(pathOf(end));
  } finally {
    await Promise.all(way.map((handle) => handle.close()));
  }
}

const leaves = (subPath: string): VolumeError => new VolumeError(`subPath "${subPath}" would leave the volume`);

/** Every handle it opens is pushed to `way`, whose depth is that of where it stands: `..` of a link goes back along it. */
async function walk(way: FileHandle[], subPath: string, base: string): Promise<FileHandle> {
  const parts = subPath.split('/');
  const stack = [way[0]!];
  for (let links = 0; parts.length > 0;) {
    const part = parts.shift()!;
    if (part === '' || part === '.') continue;
    if (part === '..') {
      if (stack.length === 1) throw leaves(subPath);
      stack.pop();
      continue;
    }
    const name = join(pathOf(stack.at(-1)!), part);
    const next = await openOrMake(name, subPath);
    way.push(next);
    if (!(await next.stat()).isSymbolicLink()) {
      stack.push(next);
      continue;
    }
    if (++links > mostLinks) throw new VolumeError(`subPath "${subPath}" leads through too many links`);
    const target = await readlink(name).catch((error: unknown) => changed(subPath, error));
    if (target.startsWith('/')) {
      if (target !== base && !target.startsWith(`${base}/`)) throw leaves(subPath);
      stack.length = 1;
      parts.unshift(...target.slice(base.length).split('/'));
    } else parts.unshift(...target.split('/'));
  }
  return stack.at(-1)!;
}

async function openOrMake(name: string, subPath: string): Promise<FileHandle> {
  const absent = (error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    return changed(subPath, error);
  };
  const found = await open(name, named).catch(absent);
  if (found) return found;
  await mkdir(name, { mode: 0o755 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') changed(subPath, error);
  });
  return open(name, named).catch((error: unknown) => changed(subPath, error));
}

function changed(subPath: string, error: unknown): never {
  throw new VolumeError(
    `subPath "${subPath}" cannot be followed: ${(error as NodeJS.ErrnoException).code ?? 'error'}`,
    {
      cause: error,
    },
  );
}

async function bind(end: FileHandle, place: string): Promise<string> {
  const isDirectory = (await end.stat()).isDirectory();
  await unmount(place); // of the container's last start
  await rm(place, { recursive: true, force: true });
  await mkdir(isDirectory ? place : dirname(place), { recursive: true, mode: 0o750 });
  if (!isDirectory) await writeFile(place, '');
  // Taken as it stands: mount(8) would look the handle's name up, and go there by name.
  await mount(['--no-canonicalize', '--bind', `/proc/${process.pid}/fd/${end.fd}`, place]);
  return place;
}
