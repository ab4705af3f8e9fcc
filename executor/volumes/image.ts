import type { Pod } from '../../api/kinds/pod.ts';
import { containersOf } from '../containers.ts';
import { VolumeError, type VolumeType } from './volume.ts';

/** The files of an image as a volume: the runtime itself mounts them where it can, so they have no place on this machine that we know of. */
export const image: VolumeType = {
  source: 'image',
  prepare({ name, image: source }, { pod, facts: { mountsImages } }) {
    const lacks =
      mountsImages === 'none'
        ? 'images'
        : wantsPart(pod, name) && mountsImages === 'whole'
          ? 'parts of images'
          : undefined;
    if (lacks)
      throw new VolumeError(
        `image "${source?.reference ?? ''}" cannot be mounted: this node does not mount ${lacks}; copy what is needed of it by an init container into an emptyDir`,
      );
    return Promise.resolve('');
  },
};

const wantsPart = (pod: Pod, volume: string): boolean =>
  containersOf(pod).some(({ volumeMounts = [] }) =>
    volumeMounts.some(({ name, subPath, subPathExpr }) => name === volume && (subPath || subPathExpr)),
  );
