import { PersistentVolume } from '../api/kinds/persistent-volume.ts';
import { PersistentVolumeClaim } from '../api/kinds/persistent-volume-claim.ts';
import type { Stored } from '../api/meta.ts';
import { isConflict, unlessNotFound } from '../api/status.ts';
import { serves } from '../api/volume-claims.ts';
import type { Client } from '../client/client.ts';
import type { ClaimedVolumes } from '../scheduler/index.ts';

type Volume = PersistentVolume & Stored;

const byController = 'pv.kubernetes.io/bound-by-controller';

/** Makes volumes say whose they are, before the pods of the claims are bound; the controller of claims does the rest. */
export class ClaimedVolumeWriter {
  readonly #client: Client;
  readonly #signal: AbortSignal;

  constructor(client: Client, signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
  }

  /** All of them, or none. Answers why one cannot be had; undefined when each is its claim's. */
  async write(namespace: string, volumes: ClaimedVolumes): Promise<string | undefined> {
    const written: Volume[] = [];
    try {
      for (const [claim, volume] of Object.entries(volumes)) {
        const outcome = await this.#claim({ namespace, name: claim }, volume);
        if (typeof outcome === 'string') {
          for (const one of written) await this.#giveBack(one);
          return outcome;
        }
        if (outcome) written.push(outcome);
      }
    } catch (error) {
      for (const one of written) await this.#giveBack(one);
      throw error;
    }
    return undefined;
  }

  /** Answers why it cannot be, or the volume if it was written. */
  async #claim(ref: { namespace: string; name: string }, name: string): Promise<string | Volume | undefined> {
    const claim = await this.#client.get(PersistentVolumeClaim, ref, this.#signal).catch(unlessNotFound);
    if (!claim) return `persistentvolumeclaim "${ref.name}" not found`;
    const { uid } = claim.metadata;
    const { volumeName } = claim.spec;
    if (volumeName) return volumeName === name ? undefined : `persistentvolumeclaim "${ref.name}" has another volume`;
    const volume = await this.#client.get(PersistentVolume, { name }, this.#signal).catch(unlessNotFound);
    if (volume?.spec.claimRef?.uid === uid) return undefined;
    const isTaken = `persistentvolume "${name}" is not to be had any more`;
    if (!volume || !serves(volume, claim)) return isTaken;
    const { resourceVersion } = volume.metadata;
    const annotations = volume.spec.claimRef ? {} : { [byController]: 'yes' };
    const claimRef = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', ...ref, uid };
    const patch = { metadata: { resourceVersion, annotations }, spec: { claimRef } };
    try {
      return await this.#client.patch(PersistentVolume, { name }, patch, {}, this.#signal);
    } catch (error) {
      if (isConflict(error)) return isTaken;
      throw error;
    }
  }

  /** Unless the claim has it by now: then it stays so. */
  async #giveBack({ metadata: { name, resourceVersion, annotations } }: Volume): Promise<void> {
    // Somebody had kept it for the claim: it stays kept.
    const claimRef = annotations?.[byController] ? null : { uid: null };
    const patch = { metadata: { resourceVersion, annotations: { [byController]: null } }, spec: { claimRef } };
    await this.#client.patch(PersistentVolume, { name }, patch, {}, this.#signal).catch((error: unknown) => {
      if (!isConflict(error)) unlessNotFound(error);
    });
  }
}
