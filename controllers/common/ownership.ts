import type { Kind } from '../../api/kind.ts';
import {
  type KubeObject,
  type LabelSelector,
  type OwnerReference,
  type Stored,
  controllerOf,
  keyOf,
} from '../../api/meta.ts';
import { matchesLabelSelector } from '../../api/selector.ts';
import { isInvalid, isNotFound } from '../../api/status.ts';
import type { Client } from '../../client/client.ts';
import type { Change, Informer } from '../../client/informer.ts';

/** Index by which informers answer for one namespace. */
export const byNamespace = { namespace: (object: Stored) => [object.metadata.namespace ?? ''] };

export function controllerReference<T extends KubeObject>(kind: Kind<T>, owner: T & Stored): OwnerReference {
  const { name, uid } = owner.metadata;
  return { apiVersion: kind.apiVersion, kind: kind.kind, name, uid, controller: true, blockOwnerDeletion: true };
}

/**
 * Of the candidates those that are the owner's: it takes over those that match its selector and belong to nobody, and lets
 * go of its own that match no longer. Owners that are being deleted take nothing.
 */
export async function claim<T extends KubeObject, O extends KubeObject>(
  client: Client,
  kind: Kind<T>,
  candidates: readonly (T & Stored)[],
  owner: O & Stored,
  { reference, selector }: { reference: OwnerReference; selector: LabelSelector },
  signal: AbortSignal,
): Promise<(T & Stored)[]> {
  const claimed: (T & Stored)[] = [];
  for (const candidate of candidates) {
    const controller = controllerOf(candidate);
    const fits = matchesLabelSelector(selector, candidate.metadata.labels);
    if (controller) {
      if (controller.uid !== owner.metadata.uid) continue;
      if (fits) claimed.push(candidate);
      else if (!owner.metadata.deletionTimestamp) await release(client, kind, candidate, owner, signal);
    } else if (fits && !candidate.metadata.deletionTimestamp && !owner.metadata.deletionTimestamp) {
      if (await adopt(client, kind, candidate, reference, signal)) claimed.push(candidate);
    }
  }
  return claimed;
}

async function adopt<T extends KubeObject>(
  client: Client,
  kind: Kind<T>,
  object: T & Stored,
  reference: OwnerReference,
  signal: AbortSignal,
): Promise<boolean> {
  const ownerReferences = [...(object.metadata.ownerReferences ?? []), reference];
  return patched(
    client.patch(
      kind,
      object.metadata,
      { metadata: { uid: object.metadata.uid, resourceVersion: object.metadata.resourceVersion, ownerReferences } },
      {},
      signal,
    ),
  );
}

async function release<T extends KubeObject>(
  client: Client,
  kind: Kind<T>,
  object: T & Stored,
  owner: Stored,
  signal: AbortSignal,
): Promise<void> {
  const ownerReferences = (object.metadata.ownerReferences ?? []).filter(({ uid }) => uid !== owner.metadata.uid);
  await patched(
    client.patch(
      kind,
      object.metadata,
      { metadata: { uid: object.metadata.uid, resourceVersion: object.metadata.resourceVersion, ownerReferences } },
      {},
      signal,
    ),
  );
}

/** False when the object is gone or another one by now. */
async function patched(patch: Promise<unknown>): Promise<boolean> {
  try {
    await patch;
    return true;
  } catch (error) {
    if (isNotFound(error) || isInvalid(error)) return false;
    throw error;
  }
}

/** Keys of the owners that would adopt the changed object, if it belongs to nobody. */
export function orphanKeys<O extends KubeObject>(
  owners: Informer<O>,
  selectorOf: (owner: O & Stored) => LabelSelector | undefined,
): (change: Change<KubeObject & Stored>) => string[] {
  return ({ object: { metadata } }) =>
    metadata.ownerReferences?.length || metadata.deletionTimestamp
      ? []
      : owners
          .by('namespace', metadata.namespace ?? '')
          .filter((owner) => matchesLabelSelector(selectorOf(owner), metadata.labels))
          .map(keyOf);
}
