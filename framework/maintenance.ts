import { resourcePath } from '../api/kind.ts';
import { annotations } from '../api/kinds/names.ts';
import { Node } from '../api/kinds/node.ts';
import { Pod, isMirrorPod, isTerminal } from '../api/kinds/pod.ts';
import { type Stored, controllerOf, timestamp } from '../api/meta.ts';
import { StatusError, isConflict, isNotFound } from '../api/status.ts';
import type { Client } from '../client/client.ts';
import type { Informer } from '../client/informer.ts';
import { type Reconciler, watching } from '../client/reconcile.ts';
import type { Logger } from '../lib/log.ts';
import type { Schedule } from '../mesos/master.ts';
import type { Unavailability } from '../mesos/types.ts';
import type { Agent, AgentFacts } from './agents.ts';

/** When a machine will be away, milliseconds since 1970. */
export interface Window {
  start: number;
  end: number;
}

const milli = 1_000_000n;

export const windowOf = ({ start, duration }: Unavailability): Window => ({
  start: Number(start.nanoseconds / milli),
  end: duration ? Number((start.nanoseconds + duration.nanoseconds) / milli) : Infinity,
});

/** What the schedule says of an agent's machine. */
export function windowFor({ windows = [] }: Schedule, { hostname, ip }: AgentFacts): Window | undefined {
  const isIts = (machine: { hostname?: string; ip?: string }) =>
    (machine.hostname ?? hostname) === hostname && (machine.ip ?? ip) === ip;
  const window = windows.find(({ machine_ids = [] }) => machine_ids.some(isIts));
  return window && windowOf(window.unavailability);
}

export interface MaintenanceParts {
  client: Client;
  nodes: Informer<Node>;
  /** Indexed by `node`. */
  pods: Informer<Pod>;
  agentOf: (node: string) => Agent | undefined;
  subscribe: (add: (node: string) => void) => void;
  /** Everything has left the node. */
  vacated: (node: string) => void;
  log: Logger;
}

/** Milliseconds between two tries to evict what a disruption budget keeps. */
const patience = 5_000;

/**
 * A node whose machine will be away, or whose agent Mesos drains, is cordoned and emptied, as `kubectl drain
 * --ignore-daemonsets` does, disruption budgets heeded; then Mesos is told that it may have it. Once it is offered again as
 * before it is uncordoned.
 */
export function maintenance(parts: MaintenanceParts): Reconciler {
  const { client, nodes, pods, agentOf, subscribe, vacated, log } = parts;
  /** Pods that each node had to lose when it was last said. */
  const told = new Map<string, number>();
  const tell = (node: string, left: number | undefined) => {
    if (told.get(node) === left) return;
    if (left === undefined) {
      told.delete(node);
      log.info({ node }, 'a node is given back to pods');
      return;
    }
    told.set(node, left);
    log.info({ node, left }, left > 0 ? 'a node is being emptied' : 'a node is empty');
  };
  return {
    name: 'maintenance',
    watches: [
      watching(nodes),
      watching(pods, ({ object }) => (object.spec.nodeName ? [object.spec.nodeName] : [])),
      { subscribe },
    ],
    async reconcile(name, signal) {
      const [node, agent] = [nodes.get(name), agentOf(name)];
      if (!node || !agent) return;
      if (!agent.closing) {
        if (node.metadata.annotations?.[annotations.maintenance]) await cordon(client, node, undefined, signal);
        tell(name, undefined);
        return agent.maintenance ? { again: patience } : undefined;
      }
      if (!node.spec?.unschedulable) await cordon(client, node, agent.closedFrom, signal);
      const staying = pods.by('node', name).filter(mustLeave);
      tell(name, staying.length);
      for (const pod of staying) if (!pod.metadata.deletionTimestamp) await evict(client, pod, signal);
      if (staying.length === 0) vacated(name);
      return { again: patience };
    },
  };
}

/** Those of a DaemonSet would come back, and a mirror shows what the kubelet itself keeps. Exported for its test. */
export const mustLeave = (pod: Pod): boolean =>
  !isTerminal(pod) && !isMirrorPod(pod) && controllerOf(pod)?.kind !== 'DaemonSet';

/** Marks what it did, so that a node that somebody else cordoned stays so. */
async function cordon(
  client: Client,
  { metadata }: Node & Stored,
  start: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  const mark = start === undefined ? null : timestamp(start);
  const patch = {
    metadata: { annotations: { [annotations.maintenance]: mark } },
    spec: { unschedulable: start === undefined ? null : true },
  };
  await client.patch(Node, metadata, patch, {}, signal);
}

async function evict(client: Client, { metadata }: Pod & Stored, signal: AbortSignal): Promise<void> {
  const { namespace, name, uid } = metadata;
  const eviction = {
    apiVersion: 'policy/v1',
    kind: 'Eviction',
    metadata: { namespace, name },
    deleteOptions: { preconditions: { uid } },
  };
  try {
    await client.raw('POST', resourcePath(Pod, namespace, name, 'eviction'), eviction, signal);
  } catch (error) {
    const isKept = error instanceof StatusError && error.code === 429;
    if (!isKept && !isNotFound(error) && !isConflict(error)) throw error;
  }
}
