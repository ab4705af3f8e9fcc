import type { PersistentVolume } from '../../api/kinds/persistent-volume.ts';
import { compareQuantities, quantity } from '../../api/quantity.ts';
import type { CsiVolume } from '../csi/volumes.ts';
import { VolumeError, type VolumePlace } from './volume.ts';

/**
 * A volume that its storage has made larger (the capacity of the PersistentVolume says so, that of the claim not yet) gets its file system
 * grown where it is mounted; then the claim is told. What goes wrong is told as an event and tried again: the pod goes on.
 * https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims
 */
export async function grow(
  volume: CsiVolume,
  { spec: { capacity } }: PersistentVolume,
  { facts, claim }: VolumePlace,
): Promise<void> {
  const wanted = capacity?.['storage'];
  const had = claim?.status?.capacity?.['storage'];
  if (!claim || !wanted || !had || volume.readOnly || compareQuantities(wanted, had) <= 0) return;
  try {
    if (!(await facts.csi?.expand(volume, quantity(wanted)))) return;
    await facts.claimGrew(claim, wanted);
    facts.event('Normal', 'FileSystemResizeSuccessful', `volume "${volume.name}" has grown to ${wanted}`);
  } catch (error) {
    if (!(error instanceof VolumeError)) throw error;
    facts.event('Warning', 'VolumeResizeFailed', `volume "${volume.name}" could not be grown: ${error.message}`);
  }
}

/** What a claim says once its file system is as large as its volume; in a strategic merge. */
export const grownStatus = (storage: string): object => ({
  status: { capacity: { storage }, conditions: [finished('FileSystemResizePending'), finished('Resizing')] },
});

const finished = (type: string) => ({ type, $patch: 'delete' });
