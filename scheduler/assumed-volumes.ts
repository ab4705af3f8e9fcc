import type { PersistentVolume } from '../api/kinds/persistent-volume.ts';
import type { PersistentVolumeClaim } from '../api/kinds/persistent-volume-claim.ts';
import type { Pod } from '../api/kinds/pod.ts';
import type { ClaimedVolumes } from './cluster.ts';
import type { Storage } from './plugin.ts';
import { namespaceOf } from './pod-selection.ts';

/**
 * Volumes that were chosen for claims with the places of their pods. Policies see them as theirs from then on, although the
 * volumes say so only when the pods are bound, in whatever order that is.
 */
export class AssumedVolumes {
  /** As if it were written. */
  readonly storage: Storage;
  readonly #storage: Storage;
  /** By the uid of the pod, then by the name of the volume. */
  readonly #ofPods = new Map<string, ReadonlyMap<string, PersistentVolumeClaim>>();
  readonly #seen = new WeakMap<PersistentVolume, PersistentVolume>();

  constructor(storage: Storage) {
    this.#storage = storage;
    this.storage = {
      ...storage,
      volume: (name) => {
        const volume = storage.volume(name);
        return volume && this.#assumed(volume);
      },
      volumes: () =>
        this.#ofPods.size === 0 ? storage.volumes() : storage.volumes().map((volume) => this.#assumed(volume)),
    };
  }

  assume(pod: Pod, volumes: ClaimedVolumes): void {
    const claims = Object.entries(volumes).flatMap(([name, volume]): [string, PersistentVolumeClaim][] => {
      const claim = this.#storage.claim(namespaceOf(pod), name);
      return claim ? [[volume, claim]] : [];
    });
    if (claims.length > 0) this.#ofPods.set(pod.metadata.uid!, new Map(claims));
  }

  /** Its place was given back, or the pod is gone. */
  forget(pod: Pod): void {
    this.#ofPods.delete(pod.metadata.uid!);
  }

  #assumed(volume: PersistentVolume): PersistentVolume {
    const claim = volume.spec.claimRef ? undefined : this.#claimOf(volume.metadata.name!);
    if (!claim) return volume;
    const { name = '', namespace = '', uid = '' } = claim.metadata;
    const before = this.#seen.get(volume);
    // One object for as long as it is assumed: policies tell volumes apart by it.
    if (before?.spec.claimRef?.uid === uid) return before!;
    const claimRef = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', name, namespace, uid };
    const seen = { ...volume, spec: { ...volume.spec, claimRef } };
    this.#seen.set(volume, seen);
    return seen;
  }

  #claimOf(volume: string): PersistentVolumeClaim | undefined {
    for (const claims of this.#ofPods.values()) {
      const claim = claims.get(volume);
      if (claim) return claim;
    }
    return undefined;
  }
}
