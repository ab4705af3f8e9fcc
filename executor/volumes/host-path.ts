import { mkdir, stat, writeFile } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { VolumeError, type VolumeType } from './volume.ts';

const checks: Record<string, (found: Stats) => boolean> = {
  Directory: (s) => s.isDirectory(),
  DirectoryOrCreate: (s) => s.isDirectory(),
  File: (s) => s.isFile(),
  FileOrCreate: (s) => s.isFile(),
  Socket: (s) => s.isSocket(),
  CharDevice: (s) => s.isCharacterDevice(),
  BlockDevice: (s) => s.isBlockDevice(),
};

export const hostPath: VolumeType = {
  source: 'hostPath',
  async prepare({ hostPath: source }) {
    const { path, type = '' } = source!;
    if (type === '') return path;
    const found = await stat(path).catch(() => undefined);
    if (!found && type === 'DirectoryOrCreate') await mkdir(path, { recursive: true, mode: 0o755 });
    else if (!found && type === 'FileOrCreate') await writeFile(path, '', { mode: 0o644, flag: 'a' });
    else if (!found || !checks[type]?.(found))
      throw new VolumeError(`hostPath type check failed: ${path} is not a ${type}`);
    return path;
  },
};
