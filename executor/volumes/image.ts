import { VolumeError, type VolumeType } from './volume.ts';

/** The files of an image as a volume: no runtime that km speaks to is asked to mount one yet. */
export const image: VolumeType = {
  source: 'image',
  prepare({ image: source }) {
    const { reference = '' } = source as { reference?: string };
    throw new VolumeError(
      `image "${reference}" cannot be mounted: this node does not mount images; copy what is needed of it by an init container into an emptyDir`,
    );
  },
};
