import { PersistentVolumeClaim } from '../api/kinds/persistent-volume-claim.ts';
import { PersistentVolume } from '../api/kinds/persistent-volume.ts';
import { type Stored } from '../api/meta.ts';
import { compareQuantities } from '../api/quantity.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';

type Claim = PersistentVolumeClaim & Stored;

const words =
  "Ignoring the PVC: didn't find a plugin capable of expanding the volume; waiting for an external controller to process this PVC.";

/**
 * Tells who is waited for when a bound claim asks for more than it has. No kind of volume that Kubernetes still has in its own
 * tree is made larger by kube-controller-manager: the resizer of a CSI driver does it, and the kubelet the file system.
 */
export function volumeExpand({ informer, events }: World): Reconciler {
  const claims = informer(PersistentVolumeClaim);
  const volumes = informer(PersistentVolume);
  return {
    name: 'volume-expand',
    watches: [
      watching(claims, (change) =>
        change.type !== 'deleted' && wantsMore(change.object) && !(change.type === 'updated' && isSame(change))
          ? [`${change.object.metadata.namespace}/${change.object.metadata.name}`]
          : [],
      ),
    ],
    reconcile(key) {
      const claim = claims.get(key);
      const volume = claim?.spec.volumeName ? volumes.get(claim.spec.volumeName) : undefined;
      if (claim && wantsMore(claim) && volume?.spec.claimRef?.uid === claim.metadata.uid)
        events.record(
          { apiVersion: 'v1', kind: PersistentVolumeClaim.kind, metadata: claim.metadata },
          volume.spec.csi ? 'Normal' : 'Warning',
          'ExternalExpanding',
          words,
        );
      return Promise.resolve();
    },
  };
}

const requested = ({ spec }: Claim) => spec.resources?.requests?.['storage'] ?? '0';
const capacity = ({ status }: Claim) => status?.capacity?.['storage'] ?? '0';

const wantsMore = (claim: Claim): boolean =>
  claim.status?.phase === 'Bound' && compareQuantities(requested(claim), capacity(claim)) > 0;

const isSame = ({ object, old }: { object: Claim; old: Claim }): boolean =>
  wantsMore(old) && requested(object) === requested(old) && capacity(object) === capacity(old);
