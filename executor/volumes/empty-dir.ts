import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Pod } from '../../api/kinds/pod.ts';
import { quantity } from '../../api/quantity.ts';
import { podLimits } from '../resources.ts';
import { isMounted, mount, unmount } from './mounts.ts';
import { VolumeError, type VolumeType } from './volume.ts';

/** A directory that lives as long as the pod; with medium Memory a tmpfs, which needs root. Its mode is set once: later it is the pod's. */
export const emptyDir: VolumeType = {
  source: 'emptyDir',
  async prepare({ emptyDir: source = {} }, { pod, path, facts }) {
    const { medium = '', sizeLimit } = source;
    if (medium !== '' && medium !== 'Memory')
      throw new VolumeError(`this node cannot provide an emptyDir of the medium ${medium}, only of disk or Memory`);
    const group = pod.spec.securityContext?.fsGroup;
    const mode = group === undefined ? 0o777 : 0o2777;
    if (!existsSync(path)) await make(path, mode, group);
    if (medium === 'Memory' && !(await isMounted(path))) {
      const size = memoryFor(pod, sizeLimit, facts.allocatable.memory);
      const options = [`mode=${mode.toString(8)}`, ...(group === undefined ? [] : [`gid=${group}`]), `size=${size}`];
      await mount(['-t', 'tmpfs', '-o', options.join(), 'km', path]);
    }
    return path;
  },
  remove: unmount,
};

/** Aside and then moved: what is there has its mode. */
async function make(path: string, mode: number, group: number | undefined): Promise<void> {
  const beside = `${path}.new`;
  await mkdir(dirname(path), { recursive: true });
  await rm(beside, { recursive: true, force: true });
  await mkdir(beside);
  if (group !== undefined) await chown(beside, -1, group);
  await chmod(beside, mode); // the umask must not take bits away
  await rename(beside, path);
}

/** What the volume may hold, bytes: never more than the pod, or all pods of the node, may have. */
function memoryFor(pod: Pod, sizeLimit: string | undefined, allocatable: number): number {
  const limits = [sizeLimit === undefined ? 0 : Math.ceil(quantity(sizeLimit)), podLimits(pod).memoryLimitBytes ?? 0];
  return Math.min(allocatable, ...limits.filter((limit) => limit > 0));
}
