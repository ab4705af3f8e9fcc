import { CSIDriver } from '../api/kinds/csi-driver.ts';
import { mesosVolumeDriver } from '../api/kinds/names.ts';
import { Node } from '../api/kinds/node.ts';
import { PersistentVolumeClaim } from '../api/kinds/persistent-volume-claim.ts';
import { PersistentVolume } from '../api/kinds/persistent-volume.ts';
import { Pod } from '../api/kinds/pod.ts';
import { VolumeAttachment, attachmentName } from '../api/kinds/volume-attachment.ts';
import { type Stored, keyOf } from '../api/meta.ts';
import { isAlreadyExists, unlessNotFound } from '../api/status.ts';
import { claimNames } from '../api/volume-claims.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';

type StoredPod = Pod & Stored;

/** Milliseconds between two looks at a volume that a kubelet still has mounted. */
const lookAgain = 5_000;

const claimsOf = (pod: StoredPod): string[] => claimNames(pod).map((name) => `${pod.metadata.namespace}/${name}`);
/** A kubelet takes its volumes back before it lets a pod go, so one that has ended still has them. */
const needsVolumes = (pod: StoredPod): boolean => Boolean(pod.spec.nodeName);

/**
 * Says by VolumeAttachments which CSI volume belongs on which node; the attacher of each driver acts on them.
 *
 *   a pod with the volume is placed ─▶ VolumeAttachment ─▶ (attacher) attached ─▶ its kubelet mounts
 *   no such pod is left there ─▶ the kubelet has unmounted it ─▶ the VolumeAttachment goes
 *
 * The key is the volume's name. https://kubernetes-csi.github.io/docs/external-attacher.html
 */
export function attachDetach({ client, informer, events }: World): Reconciler {
  const pods = informer(Pod, { indexes: { claim: claimsOf } });
  const claims = informer(PersistentVolumeClaim);
  const volumes = informer(PersistentVolume);
  const drivers = informer(CSIDriver);
  const nodes = informer(Node);
  const volumeOf = (claim: string): string[] => {
    const name = claims.get(claim)?.spec.volumeName;
    return name ? [name] : [];
  };
  const heldBy = ({ spec: { source } }: VolumeAttachment): string[] =>
    source.persistentVolumeName ? [source.persistentVolumeName] : [];
  const attachments = informer(VolumeAttachment, {
    indexes: { volume: heldBy },
  });
  const isAttached = ({ spec: { csi } }: PersistentVolume): boolean =>
    csi !== undefined && csi.driver !== mesosVolumeDriver && drivers.get(csi.driver)?.spec.attachRequired !== false;

  /** Node → a pod there that has the volume. */
  function wantedBy(volume: PersistentVolume): Map<string, StoredPod> {
    const { claimRef } = volume.spec;
    if (!claimRef || !isAttached(volume)) return new Map();
    const users = pods.by('claim', `${claimRef.namespace}/${claimRef.name}`).filter(needsVolumes);
    return new Map(users.map((pod) => [pod.spec.nodeName!, pod]));
  }

  return {
    name: 'attach-detach',
    watches: [
      watching(pods, ({ object }) => claimsOf(object).flatMap(volumeOf)),
      watching(claims, ({ object }) => (object.spec.volumeName ? [object.spec.volumeName] : [])),
      watching(volumes),
      watching(attachments, ({ object }) => heldBy(object)),
      watching(drivers, ({ object }) =>
        [...volumes.list()].filter(({ spec }) => spec.csi?.driver === object.metadata.name).map(keyOf),
      ),
    ],
    async reconcile(name, signal) {
      const volume = volumes.get(name);
      const wanted = volume ? wantedBy(volume) : new Map<string, StoredPod>();
      const there = attachments.by('volume', name);
      let isMounted = false;
      for (const attachment of there) {
        const { nodeName } = attachment.spec;
        // Others make attachments too: ours are known by their names.
        if (wanted.has(nodeName) || attachment.metadata.deletionTimestamp || !isOurs(attachment)) continue;
        if (volume && inUse(nodes.get(nodeName), volume)) isMounted = true;
        else await client.delete(VolumeAttachment, attachment.metadata, {}, signal).catch(unlessNotFound);
      }
      for (const [node, pod] of wanted) {
        if (there.some(({ spec }) => spec.nodeName === node)) continue;
        const elsewhere = there.find(({ spec }) => spec.nodeName !== node);
        if (elsewhere && isForOneNode(volume!)) {
          const words = `Multi-Attach error for volume "${name}": it is attached to ${elsewhere.spec.nodeName} and can be attached to one node only`;
          events.record(
            { apiVersion: 'v1', kind: 'Pod', metadata: pod.metadata },
            'Warning',
            'FailedAttachVolume',
            words,
          );
          continue;
        }
        await client.create(VolumeAttachment, attachmentOf(volume!, node), {}, signal).catch((error: unknown) => {
          if (!isAlreadyExists(error)) throw error;
        });
      }
      return isMounted ? { again: lookAgain } : undefined;
    },
  };
}

const isForOneNode = ({ spec: { accessModes = [] } }: PersistentVolume): boolean =>
  accessModes.every((mode) => mode === 'ReadWriteOnce' || mode === 'ReadWriteOncePod');

/** The kubelet says what it has mounted; of a node that is gone nothing is. */
const inUse = (node: Node | undefined, { spec: { csi } }: PersistentVolume): boolean =>
  node?.status?.volumesInUse?.includes(`kubernetes.io/csi/${csi?.driver}^${csi?.volumeHandle}`) === true;

const isOurs = ({ metadata }: VolumeAttachment): boolean => /^csi-[0-9a-f]{64}$/.test(metadata.name ?? '');

/** Its name is the same whoever makes it, so that nobody attaches twice. */
const attachmentOf = ({ metadata, spec }: PersistentVolume, node: string): VolumeAttachment => ({
  metadata: { name: attachmentName(spec.csi!.volumeHandle, spec.csi!.driver, node) },
  spec: { attacher: spec.csi!.driver, nodeName: node, source: { persistentVolumeName: metadata.name! } },
});
