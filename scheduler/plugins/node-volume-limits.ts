import type { Pod } from '../../api/kinds/pod.ts';
import type { Plugin, Storage } from '../plugin.ts';
import { claimsOf } from './volumes.ts';

/** A CSI driver attaches only so many volumes to a node, as its CSINode says. */
export const nodeVolumeLimits: Plugin = {
  name: 'NodeVolumeLimits',
  filter: ({ pod, world }) => {
    const storage = world?.storage;
    if (!storage) return undefined;
    const mine = attachments(pod, storage);
    if (mine.size === 0) return undefined;
    return (node) => {
      const limits = storage.attachLimits(node.name);
      if (limits.size === 0) return undefined;
      const all = new Map(mine);
      for (const other of node.pods.values())
        for (const [id, driver] of attachments(other, storage)) all.set(id, driver);
      for (const [driver, limit] of limits) {
        // Only a driver that the pod needs more of can be short.
        const isAsked = [...mine.values()].includes(driver);
        if (isAsked && [...all.values()].filter((one) => one === driver).length > limit)
          return 'node(s) exceed max volume count';
      }
      return undefined;
    };
  },
};

/** Volume → its CSI driver. A claim that is not bound yet will be a volume of its own. */
function attachments(pod: Pod, storage: Storage): Map<string, string> {
  const found = new Map<string, string>();
  for (const claim of claimsOf(pod, storage)) {
    if (!claim) continue;
    const { volumeName, storageClassName } = claim.spec;
    const csi = volumeName ? storage.volume(volumeName)?.spec.csi : undefined;
    const driver = csi?.driver ?? (volumeName ? undefined : storage.storageClass(storageClassName ?? '')?.provisioner);
    if (driver) found.set(csi ? `${driver} ${csi.volumeHandle}` : `claim ${claim.metadata.uid}`, driver);
  }
  return found;
}
