import { execFile } from 'node:child_process';
import { chmod, chown, mkdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { quantity } from '../../api/quantity.ts';
import { VolumeError, type VolumeType } from './volume.ts';

const run = promisify(execFile);

/** A directory that lives as long as the pod; with medium Memory a tmpfs, which needs root. */
export const emptyDir: VolumeType = {
  source: 'emptyDir',
  async prepare({ emptyDir: source }, { pod, path }) {
    await mkdir(path, { recursive: true });
    if (source?.medium === 'Memory' && !(await isMounted(path))) {
      const size = source.sizeLimit ? [`size=${Math.ceil(quantity(source.sizeLimit))}`] : [];
      await run('mount', ['-t', 'tmpfs', '-o', ['mode=0777', ...size].join(), 'km', path]).catch((error: unknown) => {
        throw new VolumeError(`cannot mount memory: ${(error as Error).message}`, { cause: error });
      });
    }
    const group = pod.spec.securityContext?.fsGroup;
    await chmod(path, group === undefined ? 0o777 : 0o2777);
    if (group !== undefined) await chown(path, -1, group);
    return path;
  },
  async remove(path) {
    if (await isMounted(path)) await run('umount', ['-l', path]);
  },
};

const isMounted = async (path: string): Promise<boolean> =>
  process.platform === 'linux' && (await readFile('/proc/self/mounts', 'utf8')).includes(` ${path} `);
