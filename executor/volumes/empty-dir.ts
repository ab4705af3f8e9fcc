import { chmod, chown, mkdir } from 'node:fs/promises';
import { quantity } from '../../api/quantity.ts';
import { isMounted, mount, unmount } from './mounts.ts';
import type { VolumeType } from './volume.ts';

/** A directory that lives as long as the pod; with medium Memory a tmpfs, which needs root. */
export const emptyDir: VolumeType = {
  source: 'emptyDir',
  async prepare({ emptyDir: source }, { pod, path }) {
    await mkdir(path, { recursive: true });
    if (source?.medium === 'Memory' && !(await isMounted(path))) {
      const size = source.sizeLimit ? [`size=${Math.ceil(quantity(source.sizeLimit))}`] : [];
      await mount(['-t', 'tmpfs', '-o', ['mode=0777', ...size].join(), 'km', path]);
    }
    const group = pod.spec.securityContext?.fsGroup;
    await chmod(path, group === undefined ? 0o777 : 0o2777);
    if (group !== undefined) await chown(path, -1, group);
    return path;
  },
  remove: unmount,
};
