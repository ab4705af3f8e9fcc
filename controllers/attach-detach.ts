import { CSIDriver } from '../api/kinds/csi-driver.ts';
import { CSINode } from '../api/kinds/csi-node.ts';
import { PersistentVolumeClaim } from '../api/kinds/persistent-volume-claim.ts';
import { PersistentVolume } from '../api/kinds/persistent-volume.ts';
import { Pod } from '../api/kinds/pod.ts';
import { VolumeAttachment, attachmentName } from '../api/kinds/volume-attachment.ts';
import { type Stored, keyOf } from '../api/meta.ts';
import { isAlreadyExists, isNotFound } from '../api/status.ts';
import { claimNames } from '../api/volume-claims.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';

type StoredVolume = PersistentVolume & Stored;

/** Where a volume that one node alone may have is still elsewhere, it is looked again after so many ms. */
const lookAgain = 2_000;
const byClaim = 'claim';
const byNode = 'node';

/**
 * Says which volumes of CSI drivers a node should have attached: what its pods claim, as long as their objects are there,
 * for a kubelet takes its volumes back before it lets a pod go. Attaching itself is the driver's, which follows
 * VolumeAttachments. https://github.com/kubernetes-csi/external-attacher
 */
export function attachDetach({ client, informer, events }: World): Reconciler {
  const pods = informer(Pod, {
    indexes: {
      [byNode]: (pod) => (pod.spec.nodeName ? [pod.spec.nodeName] : []),
      [byClaim]: (pod) => claimNames(pod).map((name) => `${pod.metadata.namespace}/${name}`),
    },
  });
  const claims = informer(PersistentVolumeClaim);
  const volumes = informer(PersistentVolume);
  const drivers = informer(CSIDriver);
  const nodes = informer(CSINode);
  const attachments = informer(VolumeAttachment);
  const nodesOf = (claim: string) =>
    pods.by(byClaim, claim).flatMap(({ spec }) => (spec.nodeName ? [spec.nodeName] : []));

  /** The volumes that pods of a node need attached, each with a pod that does, by the name of the attachment. */
  function wantedAt(node: string): Map<string, { volume: StoredVolume; pod: Pod & Stored }> {
    const wanted = new Map<string, { volume: StoredVolume; pod: Pod & Stored }>();
    for (const pod of pods.by(byNode, node))
      for (const name of claimNames(pod)) {
        const claim = claims.get(`${pod.metadata.namespace}/${name}`);
        const volume = volumes.get(claim?.spec.volumeName ?? '');
        const { csi, claimRef } = volume?.spec ?? {};
        if (!volume || !csi || claimRef?.uid !== claim?.metadata.uid) continue;
        if (drivers.get(csi.driver)?.spec.attachRequired === false) continue;
        wanted.set(attachmentName(csi.volumeHandle, csi.driver, node), { volume, pod });
      }
    return wanted;
  }

  const elsewhere = ({ metadata, spec }: StoredVolume, node: string) =>
    (spec.accessModes ?? []).every((mode) => mode === 'ReadWriteOnce' || mode === 'ReadWriteOncePod') &&
    [...attachments.list()].find(
      (one) => one.spec.source.persistentVolumeName === metadata.name && one.spec.nodeName !== node,
    );

  return {
    name: 'attach-detach',
    watches: [
      watching(pods, ({ object }) => (object.spec.nodeName ? [object.spec.nodeName] : [])),
      watching(claims, ({ object }) => nodesOf(keyOf(object))),
      watching(volumes, ({ object: { spec } }) =>
        spec.claimRef ? nodesOf(`${spec.claimRef.namespace ?? ''}/${spec.claimRef.name ?? ''}`) : [],
      ),
      watching(nodes),
      watching(attachments, ({ object }) => [object.spec.nodeName]),
    ],
    async reconcile(node, signal) {
      const wanted = wantedAt(node);
      for (const attachment of attachments.list()) {
        const { name, deletionTimestamp } = attachment.metadata;
        // Others make attachments too: ours are known by their names.
        if (
          attachment.spec.nodeName !== node ||
          wanted.has(name) ||
          deletionTimestamp ||
          !/^csi-[0-9a-f]{64}$/.test(name)
        )
          continue;
        await client.delete(VolumeAttachment, { name }, {}, signal).catch((error: unknown) => {
          if (!isNotFound(error)) throw error;
        });
      }
      let isWaiting = false;
      for (const [name, { volume, pod }] of wanted) {
        if (attachments.get(name)) continue;
        // The driver is not there yet: nobody could say what the node is called by it.
        if (!nodes.get(node)?.spec.drivers?.some((driver) => driver.name === volume.spec.csi!.driver)) continue;
        const other = elsewhere(volume, node);
        if (other) {
          isWaiting = true;
          const words = `Multi-Attach error for volume "${volume.metadata.name}" Volume is already exclusively attached to node ${other.spec.nodeName} and can't be attached to another`;
          events.record(
            { apiVersion: 'v1', kind: 'Pod', metadata: pod.metadata },
            'Warning',
            'FailedAttachVolume',
            words,
          );
          continue;
        }
        const source = { persistentVolumeName: volume.metadata.name };
        const spec = { attacher: volume.spec.csi!.driver, nodeName: node, source };
        await client.create(VolumeAttachment, { metadata: { name }, spec }, {}, signal).catch((error: unknown) => {
          if (!isAlreadyExists(error)) throw error;
        });
      }
      return isWaiting ? { again: lookAgain } : undefined;
    },
  };
}
