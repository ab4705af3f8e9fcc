import { PersistentVolumeClaim } from '../api/kinds/persistent-volume-claim.ts';
import { PersistentVolume } from '../api/kinds/persistent-volume.ts';
import { Pod, isTerminal } from '../api/kinds/pod.ts';
import type { Kind } from '../api/kind.ts';
import { type KubeObject, type Stored, keyOf } from '../api/meta.ts';
import { isNotFound } from '../api/status.ts';
import { claimNames } from '../api/volume-claims.ts';
import type { Client } from '../client/client.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';

const claimFinalizer = 'kubernetes.io/pvc-protection';
const volumeFinalizer = 'kubernetes.io/pv-protection';

/** A pod on a node, still at work, has its claims in use. */
const uses = (pod: Pod, claim: string): boolean =>
  Boolean(pod.spec.nodeName) && !isTerminal(pod) && claimNames(pod).includes(claim);

/** A claim that is deleted stays until no pod uses it. */
export function claimProtection({ client, informer }: World): Reconciler {
  const claims = informer(PersistentVolumeClaim);
  const pods = informer(Pod);
  return {
    name: 'pvc-protection',
    watches: [
      watching(claims),
      watching(pods, ({ object }) => claimNames(object).map((name) => `${object.metadata.namespace}/${name}`)),
    ],
    async reconcile(key, signal) {
      const claim = claims.get(key);
      if (!claim) return;
      const { name, namespace } = claim.metadata;
      await keepFinalizer(client, PersistentVolumeClaim, claim, claimFinalizer, signal, async () => {
        // The cache may not have the pod yet that was placed a moment ago.
        const { items } = await client.list(Pod, { namespace }, signal);
        return items.some((pod) => uses(pod, name));
      });
    },
  };
}

/** A volume that is deleted stays while a claim has it. */
export function volumeProtection({ client, informer }: World): Reconciler {
  const volumes = informer(PersistentVolume);
  return {
    name: 'pv-protection',
    watches: [watching(volumes)],
    async reconcile(key, signal) {
      const volume = volumes.get(key);
      if (!volume) return;
      const isUsed = () => volume.status?.phase === 'Bound';
      await keepFinalizer(client, PersistentVolume, volume, volumeFinalizer, signal, isUsed);
    },
  };
}

async function keepFinalizer<T extends KubeObject>(
  client: Client,
  kind: Kind<T>,
  object: T & Stored,
  finalizer: string,
  signal: AbortSignal,
  isUsed: () => boolean | Promise<boolean>,
): Promise<void> {
  const { deletionTimestamp, finalizers = [], uid, resourceVersion } = object.metadata;
  const has = finalizers.includes(finalizer);
  if (deletionTimestamp ? !has || (await isUsed()) : has) return;
  const kept = deletionTimestamp ? finalizers.filter((one) => one !== finalizer) : [...finalizers, finalizer];
  await client
    .patch(kind, object.metadata, { metadata: { uid, resourceVersion, finalizers: kept } }, {}, signal)
    .catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
}

interface EphemeralSource {
  volumeClaimTemplate?: {
    metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> };
    spec: PersistentVolumeClaim['spec'];
  };
}

/** Makes the claims of generic ephemeral volumes; they belong to their pod and go with it. */
export function ephemeralVolumes({ client, informer, events }: World): Reconciler {
  const pods = informer(Pod);
  const claims = informer(PersistentVolumeClaim);
  return {
    name: 'ephemeral-volume',
    watches: [
      watching(pods, ({ type, object }) =>
        type === 'added' && object.spec.volumes?.some((volume) => volume['ephemeral']) ? [keyOf(object)] : [],
      ),
      watching(claims, ({ type, object }) =>
        type === 'deleted'
          ? (object.metadata.ownerReferences ?? [])
              .filter(({ kind }) => kind === 'Pod')
              .map(({ name }) => `${object.metadata.namespace}/${name}`)
          : [],
      ),
    ],
    async reconcile(key, signal) {
      const pod = pods.get(key);
      if (!pod || pod.metadata.deletionTimestamp || isTerminal(pod)) return;
      for (const claim of ephemeralClaims(pod)) {
        const known = claims.get(keyOf(claim));
        if (known?.metadata.ownerReferences?.some(({ uid }) => uid === pod.metadata.uid)) continue;
        const words = `PVC ${keyOf(claim)} was not created for pod ${key} (pod is not owner)`;
        if (known) {
          events.record(
            { apiVersion: 'v1', kind: 'Pod', metadata: pod.metadata },
            'Warning',
            'EphemeralVolumeConflict',
            words,
          );
          throw new Error(words);
        }
        await client.create(PersistentVolumeClaim, claim, {}, signal);
      }
    },
  };
}

export function ephemeralClaims({ metadata, spec }: Pod & Stored): PersistentVolumeClaim[] {
  return (spec.volumes ?? []).flatMap((volume) => {
    const template = (volume['ephemeral'] as EphemeralSource | undefined)?.volumeClaimTemplate;
    if (!template) return [];
    const { labels, annotations } = template.metadata ?? {};
    const owner = { apiVersion: 'v1', kind: 'Pod', name: metadata.name, uid: metadata.uid };
    return [
      {
        metadata: {
          name: `${metadata.name}-${volume.name}`,
          namespace: metadata.namespace!,
          ...(labels ? { labels } : {}),
          ...(annotations ? { annotations } : {}),
          ownerReferences: [{ ...owner, controller: true, blockOwnerDeletion: true }],
        },
        spec: template.spec,
      },
    ];
  });
}
