import { execFile } from 'node:child_process';
import { readFile, rmdir, unlink } from 'node:fs/promises';
import { promisify } from 'node:util';
import { VolumeError } from './volume.ts';

const run = promisify(execFile);
/** A server of files that does not answer must not hold a pod for ever, ms. */
const patience = 120_000;

/** Throws VolumeError with what mount(8) said. */
export async function mount(args: readonly string[]): Promise<void> {
  try {
    await run('mount', args, { timeout: patience });
  } catch (error) {
    const { stderr, code, killed, message } = error as Error & { stderr?: string; code?: unknown; killed?: boolean };
    const words = killed ? `mount did not end within ${patience / 1000} s` : stderr?.trim() || message;
    const missing = code === 'ENOENT' ? 'this machine has no mount(8)' : words;
    throw new VolumeError(`mount failed: ${missing}`, { cause: error });
  }
}

/** The mounts of this machine at a path or below it, the deepest and latest first. */
export async function mountsAt(path: string): Promise<string[]> {
  if (process.platform !== 'linux') return [];
  const lines = (await readFile('/proc/self/mounts', 'utf8')).trim().split('\n');
  const points = lines.map((line) => line.split(' ')[1]!.replace(/\\([0-7]{3})/g, (_, octal: string) => ascii(octal)));
  return points.filter((point) => point === path || point.startsWith(`${path}/`)).reverse();
}

const ascii = (octal: string): string => String.fromCharCode(parseInt(octal, 8));

export const isMounted = async (path: string): Promise<boolean> => (await mountsAt(path)).includes(path);

/**
 * Takes away what is mounted at a path and below. Throws while something still is: whoever removed the directory then would
 * remove what is in the volume.
 */
export async function unmount(path: string): Promise<void> {
  for (const point of await mountsAt(path)) await run('umount', ['-l', '--', point], { timeout: patience });
  const [left] = await mountsAt(path);
  if (left !== undefined) throw new Error(`${left} is still mounted`);
}

/** The same, and the empty directory or the file that it was mounted on. Absent is fine. */
export async function removeMount(path: string): Promise<void> {
  await unmount(path);
  await rmdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOTDIR') return unlink(path);
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
}
