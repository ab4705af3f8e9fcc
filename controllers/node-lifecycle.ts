import { Lease } from '../api/kinds/lease.ts';
import { Node } from '../api/kinds/node.ts';
import { Pod } from '../api/kinds/pod.ts';
import { type Stored, timestamp } from '../api/meta.ts';
import { isNotFound } from '../api/status.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';
import {
  type EvictionRates,
  evictionRate,
  readyOf,
  sameTaints,
  silenced,
  taintsFor,
  zoneOf,
} from './common/node-health.ts';
import { isReady } from './common/pods.ts';

type StoredNode = Node & Stored;

export interface NodeLifecycleOptions {
  /** Milliseconds of silence after which nobody knows how a node is. */
  nodeMonitorGracePeriod: number;
  nodeEvictionRate: number;
  secondaryNodeEvictionRate: number;
  largeClusterSizeThreshold: number;
  unhealthyZoneThreshold: number;
}

/** Nodes that fall silent are said to be unknown, and conditions become taints, zone by zone and not all at once. */
export const nodeLifecycle =
  (options: NodeLifecycleOptions) =>
  ({ client, informer, events, now }: World): Reconciler => {
    const nodes = informer(Node);
    const leases = informer(Lease, { namespace: 'kube-node-lease' });
    const pods = informer(Pod, { indexes: { node: (pod) => [pod.spec.nodeName ?? ''] } });
    const grace = options.nodeMonitorGracePeriod;
    const rates: EvictionRates = {
      normal: options.nodeEvictionRate,
      secondary: options.secondaryNodeEvictionRate,
      largeZone: options.largeClusterSizeThreshold,
      unhealthy: options.unhealthyZoneThreshold,
    };
    /** By our own clock: what the node last said, and when we heard it. Clocks need not agree. */
    const heard = new Map<string, { said: string; at: number }>();
    /** When the next node of a zone may lose its pods. */
    const nextIn = new Map<string, number>();

    const silence = (node: StoredNode): number => {
      const { name } = node.metadata;
      const ready = readyOf(node);
      const said = `${leases.get(`kube-node-lease/${name}`)?.spec?.renewTime}|${ready?.lastHeartbeatTime}|${ready?.status}`;
      if (heard.get(name)?.said !== said) heard.set(name, { said, at: now() });
      return now() - heard.get(name)!.at;
    };

    /** Whether this node's pods are to go now; otherwise milliseconds until it may be its turn, if ever. */
    const turn = (node: StoredNode): { drives: boolean; again?: number } => {
      if (readyOf(node)?.status === 'True') return { drives: false };
      const zone = zoneOf(node);
      const rate = evictionRate(zone, [...nodes.list()], rates);
      if (rate === 0) return { drives: false, again: 5000 };
      if (node.spec?.taints?.some(({ effect, key }) => effect === 'NoExecute' && key.startsWith('node.kubernetes.io/')))
        return { drives: true };
      const wait = (nextIn.get(zone) ?? 0) - now();
      if (wait > 0) return { drives: false, again: wait };
      nextIn.set(zone, now() + 1000 / rate);
      return { drives: true };
    };

    const tellPods = async (node: StoredNode, signal: AbortSignal): Promise<void> => {
      const lost = pods.by('node', node.metadata.name).filter(isReady);
      await Promise.all(
        lost.map((pod) => {
          const condition = {
            type: 'Ready',
            status: 'False',
            reason: 'NodeNotReady',
            lastTransitionTime: timestamp(now()),
          };
          const status = { conditions: [condition] };
          return client
            .patch(Pod, pod.metadata, { status }, { type: 'strategic', subresource: 'status' }, signal)
            .catch((error: unknown) => {
              if (!isNotFound(error)) throw error;
            });
        }),
      );
    };

    return {
      name: 'node-lifecycle',
      watches: [watching(nodes), watching(leases, ({ object }) => [object.metadata.name])],
      async reconcile(name, signal) {
        const node = nodes.get(name);
        if (!node) return void heard.delete(name);
        if (node.metadata.deletionTimestamp) return;
        const silent = silence(node);
        const conditions = silenced(node, silent, grace, now());
        if (conditions) {
          const patch = { metadata: { resourceVersion: node.metadata.resourceVersion }, status: { conditions } };
          await client.patch(Node, node.metadata, patch, { type: 'strategic', subresource: 'status' }, signal);
          const about = { kind: 'Node', name, uid: node.metadata.uid };
          events.record(about, 'Normal', 'NodeNotReady', `Node ${name} status is now: NodeNotReady`);
          return;
        }
        const { drives, again } = turn(node);
        const taints = taintsFor(node, drives, now());
        if (!sameTaints(taints, node.spec?.taints)) {
          const patch = {
            metadata: { resourceVersion: node.metadata.resourceVersion },
            spec: { taints: taints.length > 0 ? taints : null },
          };
          await client.patch(Node, node.metadata, patch, {}, signal);
        }
        if (readyOf(node)?.status === 'Unknown') await tellPods(node, signal);
        return { again: Math.min(again ?? Infinity, Math.max(1000, grace - silent + 100)) };
      },
    };
  };
