import type { Node } from '../../api/kinds/node.ts';
import type { PersistentVolume } from '../../api/kinds/persistent-volume.ts';
import type { PersistentVolumeClaim } from '../../api/kinds/persistent-volume-claim.ts';
import type { Pod } from '../../api/kinds/pod.ts';
import { matches } from '../../api/node-selection.ts';
import { podColumn } from '../column.ts';
import type { Ask, Storage } from '../plugin.ts';
import { claimNames, claimsOf, serves } from './volumes.ts';

/** What is not written yet: claims are bound only after their pods have a place. */
export interface Promised {
  /** Volumes that others will have. */
  taken: ReadonlySet<PersistentVolume>;
  /** A claim that another pod brings with it: its volume, or where one will be made. */
  of(claim: PersistentVolumeClaim): { volume: PersistentVolume | undefined; node: Node } | undefined;
}

export const reaches = ({ spec }: PersistentVolume, node: Node): boolean =>
  spec.nodeAffinity?.required?.nodeSelectorTerms.some((term) => matches(term, node)) ?? true;

/** What the claim will be bound to on the node: what is meant for it, or else the smallest, as its controller chooses. */
export function volumeFor(
  claim: PersistentVolumeClaim,
  node: Node,
  volumes: readonly PersistentVolume[],
  taken: ReadonlySet<PersistentVolume>,
): PersistentVolume | undefined {
  const fits = volumes.filter((one) => !taken.has(one) && serves(one, claim));
  const meant = fits.find(({ spec }) => spec.claimRef);
  return (meant ? [meant] : fits).find((one) => reaches(one, node));
}

const claimants = podColumn(({ pods }): Pod[] => [...pods.values()].filter((pod) => claimNames(pod).length > 0));

/** Works out what the claims of all pods that have a place will be bound to. */
export function promised({ nodes }: Ask, storage: Storage, volumes: readonly PersistentVolume[]): Promised {
  const taken = new Set<PersistentVolume>();
  const promises = new Map<string, { volume: PersistentVolume | undefined; node: Node }>();
  for (const [i, pods] of claimants.of(nodes).entries())
    for (const claim of pods.flatMap((pod) => claimsOf(pod, storage))) {
      if (!claim || promises.has(claim.metadata.uid!)) continue;
      const { node } = nodes[i]!;
      const { volumeName } = claim.spec;
      // Its volume may not say yet whose it is.
      const volume = volumeName ? storage.volume(volumeName) : volumeFor(claim, node, volumes, taken);
      if (volume) taken.add(volume);
      promises.set(claim.metadata.uid!, { volume, node });
    }
  return { taken, of: (claim) => promises.get(claim.metadata.uid!) };
}
