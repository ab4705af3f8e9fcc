import { Node } from '../api/kinds/node.ts';
import { PersistentVolume } from '../api/kinds/persistent-volume.ts';
import { VolumeAttachment } from '../api/kinds/volume-attachment.ts';
import type { Stored } from '../api/meta.ts';
import { unlessNotFound } from '../api/status.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { equal } from '../lib/equal.ts';

/**
 * Tells of every node what is attached to it, in status.volumesAttached: other programs, and kubelets that ask it rather
 * than the VolumeAttachments, go by that. What is about to be detached is not told any more.
 */
export function attachedVolumes({ client, informer }: World): Reconciler {
  const nodes = informer(Node);
  const volumes = informer(PersistentVolume);
  const attachments = informer(VolumeAttachment, {
    indexes: { node: ({ spec }) => [spec.nodeName], volume: ({ spec }) => [spec.source.persistentVolumeName ?? ''] },
  });

  /** `kubernetes.io/csi/<driver>^<handle>`, as volumesInUse has it; a volume that is gone has no handle any more. */
  function told({
    metadata,
    spec,
    status,
  }: VolumeAttachment & Stored): { name: string; devicePath: string } | undefined {
    const csi = volumes.get(spec.source.persistentVolumeName ?? '')?.spec.csi;
    if (!csi || !status?.attached || metadata.deletionTimestamp) return undefined;
    return { name: `kubernetes.io/csi/${spec.attacher}^${csi.volumeHandle}`, devicePath: '' };
  }

  return {
    name: 'attached-volumes',
    watches: [
      watching(nodes),
      watching(attachments, ({ object }) => [object.spec.nodeName]),
      watching(volumes, ({ object }) =>
        attachments.by('volume', object.metadata.name).map(({ spec }) => spec.nodeName),
      ),
    ],
    async reconcile(name, signal) {
      const node = nodes.get(name);
      if (!node) return;
      const volumesAttached = attachments
        .by('node', name)
        .flatMap((attachment) => told(attachment) ?? [])
        .sort((a, b) => (a.name < b.name ? -1 : 1));
      if (equal(node.status?.volumesAttached ?? [], volumesAttached)) return;
      const status = { volumesAttached: volumesAttached.length > 0 ? volumesAttached : null };
      await client.patch(Node, { name }, { status }, { subresource: 'status' }, signal).catch(unlessNotFound);
    },
  };
}
