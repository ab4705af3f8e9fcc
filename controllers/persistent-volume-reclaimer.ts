import { PersistentVolume } from '../api/kinds/persistent-volume.ts';
import { Pod, isTerminal } from '../api/kinds/pod.ts';
import { type Stored, keyOf } from '../api/meta.ts';
import { unlessNotFound } from '../api/status.ts';
import { claimNames } from '../api/volume-claims.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { type RecyclerOptions, deleteHere, recycledClaim, recycledVolume, recyclerPod } from './common/reclaim.ts';
import { Retries } from './common/retries.ts';

type Volume = PersistentVolume & Stored;

const byController = 'pv.kubernetes.io/bound-by-controller';
const provisionedBy = 'pv.kubernetes.io/provisioned-by';

/**
 * What becomes of a volume whose claim is gone, by its reclaim policy: kept, deleted with what it holds, or emptied by a pod and
 * offered again. Volumes that somebody else's provisioner made, and CSI volumes, are theirs to delete.
 * https://kubernetes.io/docs/concepts/storage/persistent-volumes/#reclaiming
 */
export const persistentVolumeReclaimer =
  (recycling: RecyclerOptions) =>
  ({ client, informer, events, log, now }: World): Reconciler => {
    const volumes = informer(PersistentVolume);
    const pods = informer(Pod, {
      indexes: { claim: (pod) => claimNames(pod).map((name) => `${pod.metadata.namespace}/${name}`) },
    });
    const retries = new Retries({ first: 10_000, max: 600_000 }, now);
    const tell = ({ metadata }: Volume, type: 'Normal' | 'Warning', reason: string, words: string) =>
      events.record({ apiVersion: 'v1', kind: PersistentVolume.kind, metadata }, type, reason, words);

    /** The volume stays, and says why; it is tried again later and later. */
    const fail = async (volume: Volume, reason: string, words: string, signal: AbortSignal) => {
      const { uid } = volume.metadata;
      if (volume.status?.phase !== 'Failed' || volume.status.message !== words) {
        tell(volume, 'Warning', reason, words);
        const status = { phase: 'Failed', message: words };
        await client.patch(PersistentVolume, volume.metadata, { status }, { subresource: 'status' }, signal);
      }
      retries.failed(uid);
      return { again: retries.wait(uid) };
    };

    const remove = async (volume: Volume, signal: AbortSignal) => {
      try {
        await deleteHere(volume);
      } catch (error) {
        return fail(volume, 'VolumeFailedDelete', wordsOf(error), signal);
      }
      const { uid, name } = volume.metadata;
      await client.delete(PersistentVolume, { name }, { preconditions: { uid } }, signal).catch(unlessNotFound);
      log.info({ volume: name }, 'deleted a volume with what it held');
    };

    const recycle = async (volume: Volume, signal: AbortSignal) => {
      const { claimRef } = volume.spec;
      let wanted: Pod | undefined;
      try {
        wanted = recyclerPod(volume, recycling);
      } catch (error) {
        return fail(volume, 'VolumeFailedRecycle', wordsOf(error), signal);
      }
      if (!wanted) return fail(volume, 'VolumeFailedRecycle', 'No recycler plugin found for the volume!', signal);
      const pod = await client.get(Pod, wanted.metadata, signal).catch(unlessNotFound);
      if (!pod) {
        const users = pods.by('claim', `${claimRef?.namespace}/${claimRef?.name}`).filter((one) => !isTerminal(one));
        if (users.length > 0) {
          const words = `Volume is used by pods: ${users.map(keyOf).join(',')}`;
          tell(volume, 'Normal', 'VolumeFailedRecycle', words);
          return { again: 10_000 };
        }
        // The cache may not have it yet that the volume was emptied a moment ago.
        const current = await client.get(PersistentVolume, volume.metadata, signal);
        if (isReleased(current)) await client.create(Pod, wanted, {}, signal);
        return;
      }
      // One that was left from an earlier claim has emptied nothing of this one.
      const isOurs = pod.metadata.annotations?.[recycledClaim] === claimRef?.uid;
      if (isOurs && !isTerminal(pod)) return;
      const { uid, deletionTimestamp } = pod.metadata;
      if (!deletionTimestamp)
        await client.delete(Pod, pod.metadata, { preconditions: { uid } }, signal).catch(unlessNotFound);
      if (!isOurs) return { again: 1000 };
      if (pod.status?.phase === 'Failed') {
        const why = pod.status.message ?? 'see the log of its last try';
        return fail(volume, 'VolumeFailedRecycle', `Recycler failed: ${why}`, signal);
      }
      tell(volume, 'Normal', 'VolumeRecycled', 'Volume recycled');
      const { resourceVersion } = volume.metadata;
      const patch = { metadata: { resourceVersion, annotations: { [byController]: null } }, spec: { claimRef: null } };
      await client.patch(PersistentVolume, volume.metadata, patch, {}, signal);
    };

    return {
      name: 'persistent-volume-reclaimer',
      watches: [
        watching(volumes, ({ type, object }) => (type !== 'deleted' && isReleased(object) ? [keyOf(object)] : [])),
        watching(pods, ({ object }) => recycledVolume(object)),
      ],
      async reconcile(name, signal) {
        const volume = volumes.get(name);
        if (!volume || !isReleased(volume) || volume.metadata.deletionTimestamp) return;
        const wait = retries.wait(volume.metadata.uid);
        if (wait > 0) return { again: wait };
        const { persistentVolumeReclaimPolicy: policy, csi } = volume.spec;
        if (policy === 'Recycle') return recycle(volume, signal);
        if (policy === 'Delete' && !csi && !volume.metadata.annotations?.[provisionedBy]) return remove(volume, signal);
      },
    };
  };

const isReleased = ({ spec, status }: Volume): boolean =>
  Boolean(spec.claimRef?.uid) && (status?.phase === 'Released' || status?.phase === 'Failed');

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
