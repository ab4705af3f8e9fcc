import { Node, type Taint } from '../api/kinds/node.ts';
import { Pod, type Toleration } from '../api/kinds/pod.ts';
import { type Stored, keyOf } from '../api/meta.ts';
import { toleratesTaint } from '../api/node-selection.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { equal } from '../lib/equal.ts';
import { disrupt } from './common/disrupt.ts';

type StoredNode = Node & Stored;

/** Deletes pods from nodes whose taints drive them away, each when its patience is over. */
export function taintEviction(world: World): Reconciler {
  const { informer, events, now } = world;
  const nodes = informer(Node);
  const pods = informer(Pod, { indexes: { node: (pod) => [pod.spec.nodeName ?? ''] } });
  /** Since when a taint without a time is known. */
  const known = new Map<string, number>();

  const driving = (node: StoredNode | undefined): (Taint & { since: number })[] =>
    (node?.spec?.taints ?? [])
      .filter(({ effect }) => effect === 'NoExecute')
      .map((taint) => {
        const id = `${node!.metadata.uid}/${taint.key}=${taint.value ?? ''}`;
        if (!known.has(id)) known.set(id, now());
        return { ...taint, since: taint.timeAdded ? Date.parse(taint.timeAdded) : known.get(id)! };
      });

  const forget = (node: StoredNode) => {
    for (const id of known.keys()) if (id.startsWith(`${node.metadata.uid}/`)) known.delete(id);
  };

  return {
    name: 'taint-eviction',
    concurrency: 8,
    watches: [
      watching(pods, (change) =>
        change.type === 'deleted' ||
        (change.type === 'updated' &&
          change.object.spec.nodeName === change.old.spec.nodeName &&
          equal(change.object.spec.tolerations, change.old.spec.tolerations))
          ? []
          : [keyOf(change.object)],
      ),
      watching(nodes, (change) => {
        const { object, type } = change;
        if (type === 'deleted' || !object.spec?.taints?.some(({ effect }) => effect === 'NoExecute')) forget(object);
        const isSame = type === 'updated' && equal(object.spec?.taints, change.old.spec?.taints);
        return isSame ? [] : pods.by('node', object.metadata.name).map(keyOf);
      }),
    ],
    async reconcile(key, signal) {
      const pod = pods.get(key);
      if (!pod?.spec.nodeName || pod.metadata.deletionTimestamp) return;
      const at = evictionTime(driving(nodes.get(pod.spec.nodeName)), pod.spec.tolerations);
      if (at === undefined) return;
      if (at > now()) return { again: at - now() };
      const about = { apiVersion: 'v1', kind: 'Pod', metadata: pod.metadata };
      events.record(about, 'Normal', 'TaintManagerEviction', `Marking for deletion Pod ${key}`);
      const why = { reason: 'DeletionByTaintManager', message: 'Taint manager: deleting due to NoExecute taint' };
      await disrupt(world, pod, { ...why, type: 'DisruptionTarget' }, {}, signal);
    },
  };
}

/**
 * When a pod has to leave, in milliseconds; undefined if it may stay. It must tolerate every taint, and stays for the
 * shortest of the times that its tolerations allow.
 */
export function evictionTime(
  taints: readonly (Taint & { since: number })[],
  tolerations: readonly Toleration[] = [],
): number | undefined {
  const times = taints.flatMap((taint) => {
    const fitting = tolerations.filter((toleration) => toleratesTaint(toleration, taint));
    if (fitting.length === 0) return [0];
    const seconds = fitting.flatMap(({ tolerationSeconds }) => tolerationSeconds ?? []);
    return seconds.length > 0 ? [taint.since + Math.max(0, Math.min(...seconds)) * 1000] : [];
  });
  return times.length > 0 ? Math.min(...times) : undefined;
}
