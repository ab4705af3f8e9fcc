import { Node } from '../api/kinds/node.ts';
import { PersistentVolumeClaim } from '../api/kinds/persistent-volume-claim.ts';
import { PersistentVolume } from '../api/kinds/persistent-volume.ts';
import { Pod } from '../api/kinds/pod.ts';
import { StorageClass } from '../api/kinds/storage-class.ts';
import { type Stored, keyOf } from '../api/meta.ts';
import { matches } from '../api/node-selection.ts';
import { compareQuantities } from '../api/quantity.ts';
import { unlessNotFound } from '../api/status.ts';
import { claimNames, serves } from '../api/volume-claims.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { equal } from '../lib/equal.ts';

type Claim = PersistentVolumeClaim & Stored;
type Volume = PersistentVolume & Stored;

const completed = 'pv.kubernetes.io/bind-completed';
const byController = 'pv.kubernetes.io/bound-by-controller';
const selectedNode = 'volume.kubernetes.io/selected-node';
const provisioners = ['volume.kubernetes.io/storage-provisioner', 'volume.beta.kubernetes.io/storage-provisioner'];
const noProvisioner = 'kubernetes.io/no-provisioner';

/**
 * Brings claims and volumes together, each to one: the volume names its claim, the claim its volume, then both say Bound.
 * A claim that waits for its first consumer is bound, or asks its provisioner, when a pod that uses it has a node.
 */
export function persistentVolumeBinder({ client, informer, events }: World): Reconciler {
  const claims = informer(PersistentVolumeClaim);
  const volumes = informer(PersistentVolume);
  const classes = informer(StorageClass);
  const nodes = informer(Node);
  const pods = informer(Pod, {
    indexes: { claim: (pod) => claimNames(pod).map((name) => `${pod.metadata.namespace}/${name}`) },
  });
  const tell = (claim: Claim, type: 'Normal' | 'Warning', reason: string, message: string) =>
    events.record({ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: claim.metadata }, type, reason, message);

  const consumerNode = (claim: Claim): string | undefined =>
    claim.metadata.annotations?.[selectedNode] ??
    pods.by('claim', keyOf(claim)).find(({ spec }) => spec.nodeName)?.spec.nodeName;

  const annotate = async (claim: Claim, annotations: Record<string, string>, signal: AbortSignal): Promise<void> => {
    if (Object.entries(annotations).every(([key, value]) => claim.metadata.annotations?.[key] === value)) return;
    const { resourceVersion } = claim.metadata;
    await client.patch(
      PersistentVolumeClaim,
      claim.metadata,
      { metadata: { resourceVersion, annotations } },
      {},
      signal,
    );
  };

  const bind = async (claim: Claim, volume: Volume, signal: AbortSignal): Promise<void> => {
    const { name, namespace = '', uid } = claim.metadata;
    let bound = volume;
    if (volume.spec.claimRef?.uid !== uid) {
      const claimRef = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid };
      const annotations = volume.spec.claimRef ? {} : { [byController]: 'yes' };
      const metadata = { resourceVersion: volume.metadata.resourceVersion, annotations };
      bound = await client.patch(PersistentVolume, volume.metadata, { metadata, spec: { claimRef } }, {}, signal);
    }
    if (!claim.spec.volumeName || claim.metadata.annotations?.[completed] !== 'yes') {
      const annotations = { [completed]: 'yes', ...(claim.spec.volumeName ? {} : { [byController]: 'yes' }) };
      const metadata = { resourceVersion: claim.metadata.resourceVersion, annotations };
      const spec = { volumeName: volume.metadata.name };
      await client.patch(PersistentVolumeClaim, claim.metadata, { metadata, spec }, {}, signal);
    }
    await setPhase(bound, 'Bound', signal);
    const { capacity = {}, accessModes = [] } = bound.spec;
    const storage = capacity['storage'];
    const status = {
      phase: 'Bound' as const,
      accessModes,
      ...(storage
        ? { capacity: { ...claim.status?.capacity, storage: claim.status?.capacity?.['storage'] ?? storage } }
        : {}),
    };
    await setStatus(claim, status, signal);
  };

  const setStatus = async (claim: Claim, status: NonNullable<Claim['status']>, signal: AbortSignal): Promise<void> => {
    if (equal({ ...claim.status, ...status }, claim.status)) return;
    await client.patch(PersistentVolumeClaim, claim.metadata, { status }, { subresource: 'status' }, signal);
  };

  const setPhase = async (volume: Volume, phase: Phase, signal: AbortSignal): Promise<void> => {
    if (volume.status?.phase === phase) return;
    const status = { phase, message: null };
    await client.patch(PersistentVolume, volume.metadata, { status }, { subresource: 'status' }, signal);
  };

  const syncClaim = async (claim: Claim, signal: AbortSignal): Promise<void> => {
    const { volumeName } = claim.spec;
    if (volumeName) {
      const volume = volumes.get(volumeName);
      if (volume && (!volume.spec.claimRef || isFor(volume, claim))) return bind(claim, volume, signal);
      const lost = claim.metadata.annotations?.[completed] === 'yes';
      if (lost && claim.status?.phase !== 'Lost') {
        tell(claim, 'Warning', 'ClaimLost', 'Bound claim has lost its PersistentVolume. Data on the volume is lost!');
        return setStatus(claim, { phase: 'Lost' }, signal);
      }
      return lost ? undefined : setStatus(claim, { phase: 'Pending' }, signal);
    }
    const storageClass = claim.spec.storageClassName ? classes.get(claim.spec.storageClassName) : undefined;
    const waits = storageClass?.volumeBindingMode === 'WaitForFirstConsumer';
    const nodeName = waits ? consumerNode(claim) : undefined;
    const node = nodeName ? nodes.get(nodeName) : undefined;
    const mine = [...volumes.list()].find((volume) => isFor(volume, claim));
    const found = mine ?? (waits && !node ? undefined : bestVolume(claim, [...volumes.list()], node));
    if (found) return bind(claim, found, signal);
    await setStatus(claim, { phase: 'Pending' }, signal);
    if (waits && !node)
      return tell(claim, 'Normal', 'WaitForFirstConsumer', 'waiting for first consumer to be created before binding');
    if (!storageClass || storageClass.provisioner === noProvisioner)
      return tell(
        claim,
        'Normal',
        'FailedBinding',
        'no persistent volumes available for this claim and no storage class is set',
      );
    const { provisioner } = storageClass;
    const asks = Object.fromEntries(provisioners.map((name) => [name, provisioner]));
    await annotate(claim, { ...asks, ...(nodeName ? { [selectedNode]: nodeName } : {}) }, signal);
    const words = `Waiting for a volume to be created either by the external provisioner '${provisioner}' or manually by the system administrator.`;
    tell(claim, 'Normal', 'ExternalProvisioning', words);
  };

  const syncVolume = async (volume: Volume, signal: AbortSignal): Promise<void> => {
    const { claimRef } = volume.spec;
    if (!claimRef?.uid) return setPhase(volume, 'Available', signal);
    const ref = { namespace: claimRef.namespace, name: claimRef.name };
    const cached = claims.get(`${ref.namespace}/${ref.name}`);
    const claim = cached ?? (await client.get(PersistentVolumeClaim, ref, signal).catch(unlessNotFound));
    if (claim?.metadata.uid === claimRef.uid) {
      if (claim.spec.volumeName === volume.metadata.name) return setPhase(volume, 'Bound', signal);
      // The claim chose another: give back what was taken for it.
      const taken = claim.spec.volumeName && volume.metadata.annotations?.[byController] === 'yes';
      if (!taken) return;
      const { resourceVersion } = volume.metadata;
      const patch = { metadata: { resourceVersion, annotations: { [byController]: null } }, spec: { claimRef: null } };
      return void (await client.patch(PersistentVolume, volume.metadata, patch, {}, signal));
    }
    // What becomes of it now is persistent-volume-reclaimer's.
    if (volume.status?.phase !== 'Failed') await setPhase(volume, 'Released', signal);
  };

  return {
    name: 'persistent-volume-binder',
    concurrency: 1,
    watches: [
      watching(claims, ({ object }) => [
        `claim|${keyOf(object)}`,
        ...(object.spec.volumeName ? [`volume|${object.spec.volumeName}`] : []),
      ]),
      watching(volumes, ({ object }) => {
        const { claimRef } = object.spec;
        if (claimRef) return [`volume|${object.metadata.name}`, `claim|${claimRef.namespace}/${claimRef.name}`];
        const open = [...claims.list()].filter(
          ({ spec }) => !spec.volumeName || spec.volumeName === object.metadata.name,
        );
        return [`volume|${object.metadata.name}`, ...open.map((claim) => `claim|${keyOf(claim)}`)];
      }),
      watching(pods, ({ type, object }) =>
        type !== 'deleted' && object.spec.nodeName
          ? claimNames(object).map((name) => `claim|${object.metadata.namespace}/${name}`)
          : [],
      ),
    ],
    async reconcile(key, signal) {
      const at = key.indexOf('|');
      const name = key.slice(at + 1);
      const claim = key.startsWith('claim') ? claims.get(name) : undefined;
      const volume = key.startsWith('volume') ? volumes.get(name) : undefined;
      if (claim && !claim.metadata.deletionTimestamp) await syncClaim(claim, signal);
      if (volume) await syncVolume(volume, signal);
    },
  };
}

type Phase = NonNullable<NonNullable<Volume['status']>['phase']>;

function isFor({ spec: { claimRef } }: Volume, { metadata }: Claim): boolean {
  const isNamed = claimRef?.namespace === metadata.namespace && claimRef?.name === metadata.name;
  return isNamed && (!claimRef?.uid || claimRef.uid === metadata.uid);
}

/** The smallest that serves the claim, and that the node reaches where there is one. */
export function bestVolume(claim: Claim, volumes: readonly Volume[], node?: Node): Volume | undefined {
  const reaches = ({ spec }: Volume) =>
    !node || (spec.nodeAffinity?.required?.nodeSelectorTerms.some((term) => matches(term, node)) ?? true);
  const sizeOf = ({ spec }: Volume) => spec.capacity?.['storage'] ?? '0';
  return volumes
    .filter((volume) => serves(volume, claim) && reaches(volume))
    .sort((a, b) => compareQuantities(sizeOf(a), sizeOf(b)) || (a.metadata.name < b.metadata.name ? -1 : 1))[0];
}
