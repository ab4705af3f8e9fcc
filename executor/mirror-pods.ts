import { manifestAnnotations } from '../api/kinds/names.ts';
import { Node } from '../api/kinds/node.ts';
import { Pod, isMirrorPod } from '../api/kinds/pod.ts';
import type { Stored } from '../api/meta.ts';
import { isAlreadyExists, isConflict, isNotFound } from '../api/status.ts';
import type { Client } from '../client/client.ts';
import type { Reconciler } from '../client/reconcile.ts';

export interface MirrorPodsOptions {
  client: Client;
  nodeName: string;
  /** By `namespace/name`: the static pods there should be, and the pods of this node that the apiserver has. */
  wanted(key: string): Pod | undefined;
  found(key: string): (Pod & Stored) | undefined;
  /** Calls back with the key of whatever may have changed. */
  subscribe(add: (key: string) => void): void;
  /** A mirror was made: it knows nothing of its pod yet. */
  made(pod: Pod): void;
}

/** Milliseconds. */
const lookAgain = 1_000;

/**
 * Shows static pods in the apiserver, each by a mirror: made again when somebody deletes it, replaced when the manifest
 * changes, gone with it. https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/
 */
export const mirrorPods = ({ client, nodeName, wanted, found, subscribe, made }: MirrorPodsOptions): Reconciler => ({
  name: 'mirror-pods',
  watches: [{ subscribe }],
  async reconcile(key, signal) {
    const [pod, mirror] = [wanted(key), found(key)];
    if (mirror && !isMirrorPod(mirror)) {
      if (pod)
        throw new Error(`pod ${key} of the apiserver has the name of a static pod, which therefore cannot be shown`);
      return undefined;
    }
    if (mirror && (pod?.metadata.uid !== hashOf(mirror) || mirror.metadata.deletionTimestamp !== undefined))
      await removed(client, mirror, signal);
    else if (mirror) return undefined;
    if (!pod) return undefined;
    const node = await client.get(Node, { name: nodeName }, signal);
    try {
      await client.create(Pod, mirrorOf(pod, node), {}, signal);
    } catch (error) {
      // Our own, which the informer has not brought yet, or another's, whose end must be waited for.
      if (isAlreadyExists(error)) return { again: lookAgain };
      throw error;
    }
    made(pod);
    return undefined;
  },
});

/** The static pod that a mirror shows, by its uid. */
export const hashOf = ({ metadata }: Pod): string | undefined => metadata.annotations?.[manifestAnnotations.mirror];

export const mirrorOf = ({ metadata, spec }: Pod, node: Node & Stored): Pod => ({
  metadata: {
    name: metadata.name!,
    namespace: metadata.namespace!,
    ...(metadata.labels ? { labels: metadata.labels } : {}),
    annotations: { ...metadata.annotations, [manifestAnnotations.mirror]: metadata.uid! },
    ownerReferences: [
      { apiVersion: 'v1', kind: 'Node', name: node.metadata.name, uid: node.metadata.uid, controller: true },
    ],
  },
  spec,
});

async function removed(client: Client, { metadata }: Pod & Stored, signal: AbortSignal): Promise<void> {
  try {
    await client.delete(Pod, metadata, { gracePeriodSeconds: 0, preconditions: { uid: metadata.uid } }, signal);
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error;
  }
}
