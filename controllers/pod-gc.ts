import { Node } from '../api/kinds/node.ts';
import { Pod, isTerminal } from '../api/kinds/pod.ts';
import { type Stored, keyOf } from '../api/meta.ts';
import { isNotFound } from '../api/status.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import { readyOf } from './common/node-health.ts';
import { disrupt } from './common/disrupt.ts';

type StoredPod = Pod & Stored;

/** Milliseconds between two looks, and for which a node must have been missing. */
const period = 20_000;
const quarantine = 40_000;

/** Deletes pods that nobody else will: of nodes that are gone, never placed, or ended too long ago. */
export const podGc =
  ({ terminatedPodGcThreshold }: { terminatedPodGcThreshold: number }) =>
  (world: World): Reconciler => {
    const { client, informer, log, now } = world;
    const pods = informer(Pod);
    const nodes = informer(Node);
    const missingSince = new Map<string, number>();

    /** Nodes that pods are on and that were not there for long enough; the apiserver has the last word. */
    const missingNodes = async (all: readonly StoredPod[], signal: AbortSignal): Promise<Set<string>> => {
      const wanted = new Set(all.flatMap(({ spec }) => spec.nodeName ?? []).filter((name) => !nodes.get(name)));
      for (const name of missingSince.keys()) if (!wanted.has(name)) missingSince.delete(name);
      const missing = new Set<string>();
      for (const name of wanted) {
        if (!missingSince.has(name)) missingSince.set(name, now());
        if (now() - missingSince.get(name)! < quarantine) continue;
        const error = await client.get(Node, { name }, signal).catch((reason: unknown) => reason);
        if (isNotFound(error)) missing.add(name);
      }
      return missing;
    };

    return {
      name: 'pod-gc',
      concurrency: 1,
      watches: [
        { subscribe: (add) => add('') },
        watching(pods, ({ type, object }) => (type !== 'deleted' && isStranded(object) ? [''] : [])),
      ],
      async reconcile(_key, signal) {
        const all = [...pods.list()];
        const missing = await missingNodes(all, signal);
        for (const { pod, reason, message } of planGc(
          all,
          (name) => nodes.get(name),
          missing,
          terminatedPodGcThreshold,
        )) {
          log.info({ pod: keyOf(pod), reason: message }, 'collecting a pod');
          await disrupt(world, pod, { type: 'DisruptionTarget', reason, message }, { fails: true }, signal);
        }
        return { again: period };
      },
    };
  };

/** Deleted before it had a node: no kubelet will end it. */
const isStranded = ({ metadata, spec }: Pod): boolean => metadata.deletionTimestamp !== undefined && !spec.nodeName;

interface Garbage {
  pod: StoredPod;
  reason: string;
  message: string;
}

export function planGc(
  pods: readonly StoredPod[],
  nodeOf: (name: string) => Node | undefined,
  missing: ReadonlySet<string>,
  threshold: number,
): Garbage[] {
  const reason = 'DeletionByPodGC';
  const outOfService = (pod: StoredPod) => {
    const node = pod.metadata.deletionTimestamp ? nodeOf(pod.spec.nodeName ?? '') : undefined;
    const isOut = node?.spec?.taints?.some(({ key }) => key === 'node.kubernetes.io/out-of-service');
    return isOut && readyOf(node!)?.status !== 'True';
  };
  const ended = pods.filter((pod) => isTerminal(pod) && !pod.metadata.deletionTimestamp);
  const beyond = threshold > 0 ? ended.sort(byAge).slice(0, Math.max(0, ended.length - threshold)) : [];
  return [
    ...pods.flatMap((pod): Garbage[] => {
      if (missing.has(pod.spec.nodeName ?? '')) return [{ pod, reason, message: 'PodGC: node no longer exists' }];
      if (outOfService(pod)) return [{ pod, reason, message: 'PodGC: node is out of service' }];
      return isStranded(pod) ? [{ pod, reason, message: 'PodGC: deleted before it was scheduled' }] : [];
    }),
    ...beyond.map((pod) => ({ pod, reason, message: 'PodGC: more ended pods than are kept' })),
  ];
}

const byAge = (a: StoredPod, b: StoredPod): number =>
  Date.parse(a.metadata.creationTimestamp ?? '') - Date.parse(b.metadata.creationTimestamp ?? '');
