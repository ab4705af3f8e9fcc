import { ControllerRevision } from '../api/kinds/controller-revision.ts';
import { DaemonSet } from '../api/kinds/daemon-set.ts';
import { Node } from '../api/kinds/node.ts';
import { Pod } from '../api/kinds/pod.ts';
import { type Stored, controllerOf, keyOf } from '../api/meta.ts';
import type { Change } from '../client/informer.ts';
import { type Reconciler, type World, ownerKeys, watching } from '../client/reconcile.ts';
import { equal } from '../lib/equal.ts';
import { slowStart } from './common/batch.ts';
import { isRevocable } from '../api/revocable.ts';
import { belongs, daemonPod, nodeOf, planDaemons } from './common/daemons.ts';
import { forgetHistory, keepHistory, revisionLabel } from './common/history.ts';
import { byNamespace, claim, controllerReference, orphanKeys } from './common/ownership.ts';
import { unseen } from './common/own-writes.ts';
import { PodActions } from './common/pod-actions.ts';
import { isAvailable, isReady } from './common/pods.ts';
import { Retries } from './common/retries.ts';

type StoredSet = DaemonSet & Stored;

const burst = 250;

/** One pod on every node that fits: every Mesos agent that is a Node. */
export function daemonSets(world: World): Reconciler {
  const { client, informer, now } = world;
  const sets = informer(DaemonSet, { indexes: byNamespace });
  const pods = informer(Pod, { indexes: byNamespace });
  const nodes = informer(Node);
  const revisions = informer(ControllerRevision, { indexes: byNamespace });
  const actions = new PodActions(world, DaemonSet, pods);
  const retries = new Retries({ first: 1000, max: 15 * 60_000 }, now);

  /** A failed daemon goes, so that another comes; milliseconds until the next one may. */
  const clearEnded = async (set: StoredSet, ended: readonly (Pod & Stored)[], signal: AbortSignal) => {
    const waits: number[] = [];
    for (const pod of ended) {
      const key = `${set.metadata.uid}/${nodeOf(pod)}`;
      const wait = retries.wait(key);
      if (wait > 0) {
        waits.push(wait);
        continue;
      }
      retries.failed(key);
      const how = pod.status?.phase === 'Succeeded' ? 'succeeded' : 'failed';
      const words = `Found ${how} daemon pod ${keyOf(pod)} on node ${nodeOf(pod)}, will try to kill it`;
      actions.tell(
        set,
        how === 'failed' ? 'Warning' : 'Normal',
        how === 'failed' ? 'FailedDaemonPod' : 'SucceededDaemonPod',
        words,
      );
      await actions.remove(set, pod, signal);
    }
    return waits;
  };

  return {
    name: 'daemon-set',
    watches: [
      watching(sets),
      watching(pods, ownerKeys('DaemonSet')),
      watching(
        pods,
        orphanKeys(sets, ({ spec }) => spec.selector),
      ),
      watching(nodes, (change) => (concerns(change) ? [...sets.list()].filter(isTouched(change)).map(keyOf) : [])),
    ],
    async reconcile(key, signal) {
      const set = sets.get(key);
      if (!set) return;
      if (!actions.settled(set)) return unseen;
      const { namespace = '', deletionTimestamp } = set.metadata;
      const selection = { reference: controllerReference(DaemonSet, set), selector: set.spec.selector };
      const own = await claim(client, Pod, pods.by('namespace', namespace), set, selection, signal);
      if (deletionTimestamp) return;
      const known = revisions.by('namespace', namespace).filter((r) => controllerOf(r)?.uid === set.metadata.uid);
      const { update, all, collisionCount } = await keepHistory(client, DaemonSet, set, known, signal);
      const hashOf = (revision: typeof update) => revision.metadata.labels?.[revisionLabel] ?? '';
      const hash = hashOf(update);
      const plan = planDaemons(
        set,
        [...nodes.list()].filter((node) => !isRevocable(node)),
        own,
        hash,
        now(),
      );
      const status = {
        ...plan.counts,
        observedGeneration: set.metadata.generation ?? 0,
        ...(collisionCount ? { collisionCount } : {}),
      };
      if (!equal(status, withZeros(set.status)))
        await client.patch(DaemonSet, set.metadata, { status }, { subresource: 'status' }, signal);
      await slowStart(plan.create.slice(0, burst), (node) => actions.create(set, daemonPod(set, node, hash), signal));
      await Promise.all(plan.remove.slice(0, burst).map((pod) => actions.remove(set, pod, signal)));
      const waits = await clearEnded(set, plan.ended, signal);
      const inUse = new Set([hash, ...own.map(({ metadata }) => metadata.labels?.[revisionLabel])]);
      const limit = set.spec.revisionHistoryLimit ?? 10;
      await forgetHistory(client, all, (revision) => inUse.has(hashOf(revision)), limit, signal);
      const min = set.spec.minReadySeconds ?? 0;
      if (own.some((pod) => isReady(pod) && !isAvailable(pod, min, now()))) waits.push(min * 1000);
      return waits.length > 0 ? { again: Math.min(...waits) } : undefined;
    },
  };
}

/** Fields that are zero are not on the wire. */
const withZeros = (status: DaemonSet['status']) => {
  const { conditions: _, ...counts } = status ?? {};
  return { updatedNumberScheduled: 0, numberAvailable: 0, numberUnavailable: 0, observedGeneration: 0, ...counts };
};

type NodeChange = Change<Node & Stored>;

/** Heartbeats move no daemon. */
function concerns(change: NodeChange): boolean {
  if (change.type !== 'updated') return true;
  const { object, old } = change;
  return !equal(object.spec?.taints, old.spec?.taints) || !equal(object.metadata.labels, old.metadata.labels);
}

const isTouched =
  (change: NodeChange) =>
  (set: StoredSet): boolean =>
    change.type !== 'updated' || !equal(belongs(set, change.object), belongs(set, change.old));
