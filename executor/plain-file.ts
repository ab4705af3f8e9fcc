import { constants } from 'node:fs';
import { lstat, open, rm, writeFile } from 'node:fs/promises';

/**
 * So many bytes of a plain file, from where `from` says by its size; undefined where there is none. For files that a container may have
 * put there: a link is not followed, a pipe not waited for, and no more is read than is asked for.
 */
export async function readPlain(
  path: string,
  bytes: number,
  from: (size: number) => number = () => 0,
): Promise<Buffer | undefined> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const found = await file.stat();
      if (!found.isFile()) return undefined;
      const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, from(found.size));
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (['ENOENT', 'ELOOP', 'ENOTDIR', 'ENXIO'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

/** Whether that is what is in it. */
export const holds = async (path: string, data: Buffer): Promise<boolean> =>
  (await readPlain(path, data.length + 1))?.equals(data) ?? false;

/** Makes that what is in a plain file, which containers may have open. Whatever else has its name goes. */
export async function writePlain(path: string, data: Buffer, mode: number): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found && !found.isFile()) await rm(path, { recursive: true, force: true });
  const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW, O_NONBLOCK } = constants;
  await writeFile(path, data, { mode, flag: O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK });
}
