import { annotations, attributeLabel, revocable } from '../api/kinds/names.ts';
import { Node, type NodeStatus } from '../api/kinds/node.ts';
import { type Stored, timestamp } from '../api/meta.ts';
import { formatBytes, formatMilli } from '../api/quantity.ts';
import { isNotFound } from '../api/status.ts';
import type { Client } from '../client/client.ts';
import type { Informer } from '../client/informer.ts';
import { type Reconciler, watching } from '../client/reconcile.ts';
import { kubernetesVersion } from '../lib/build.ts';
import type { Attribute } from '../mesos/types.ts';
import { portCount } from '../scheduler/index.ts';
import { isAdvertised } from './advertised.ts';
import type { Agent } from './agents.ts';

/** Where news of agents comes from. */
export interface AgentNews {
  subscribe: (add: (node: string) => void) => void;
  /** All agents the master has are known: a Node without one has lost its agent. */
  complete: () => boolean;
  /** Not of another class. */
  isOurs: (node: Node) => boolean;
}

/**
 * Agents as Nodes: the one place where an agent becomes a node. The framework makes the Node, keeps what the agent says of
 * itself (labels, agent id) and speaks of its health while no executor does; the rest of the status is the executor's.
 */
export function nodeReconciler(
  client: Client,
  nodes: Informer<Node>,
  agentOf: (node: string) => Agent | undefined,
  { subscribe, complete, isOurs, now }: AgentNews & { now: () => number },
): Reconciler {
  return {
    name: 'nodes',
    concurrency: 16,
    watches: [watching(nodes), { subscribe }],
    async reconcile(name, signal) {
      const agent = agentOf(name);
      const node = nodes.get(name);
      if (node?.metadata.deletionTimestamp || (node && !isOurs(node))) return;
      if (!agent) return node && complete() ? absent(client, node, now(), signal) : undefined;
      if (!node) return create(client, agent, now(), signal);
      const patch = metadataPatch(node, agent);
      if (patch) await client.patch(Node, { name }, patch, {}, signal);
      const status = statusPatch(node, agent, now());
      if (status) await client.patch(Node, { name }, { status }, { type: 'strategic', subresource: 'status' }, signal);
    },
  };
}

/** Deletes the Node of an agent that is gone for good. */
export async function deleteNode(client: Client, name: string): Promise<void> {
  try {
    await client.delete(Node, { name });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

async function create(client: Client, agent: Agent, now: number, signal: AbortSignal): Promise<void> {
  const metadata = {
    name: agent.name,
    labels: labelsOf(agent),
    annotations: { [annotations.agentId]: agent.facts.id },
  };
  const status = {
    ...capacityOf(agent),
    addresses: addressesOf(agent),
    conditions: [readyOf(agent.reachable, now)],
    // Of the executor that will start there; what only it can tell, it adds.
    nodeInfo: { operatingSystem: 'linux', kubeletVersion: kubernetesVersion },
  };
  await client.create(Node, { metadata, spec: { providerID: `mesos://${agent.facts.id}` }, status }, {}, signal);
}

/** A Node of ours whose agent the master does not have: it was lost while we were away, or has not come back yet. */
async function absent(client: Client, node: Node & Stored, now: number, signal: AbortSignal): Promise<void> {
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready');
  if (!node.metadata.annotations?.[annotations.agentId] || ready?.reason === 'MesosAgentUnreachable') return;
  const status = { conditions: [readyOf(false, now)] };
  await client.patch(Node, node.metadata, { status }, { type: 'strategic', subresource: 'status' }, signal);
}

function metadataPatch(node: Node & Stored, agent: Agent): object | undefined {
  const labels = labelsOf(agent);
  const stale = Object.keys(node.metadata.labels ?? {}).filter(
    (key) => key.startsWith(attributeLabel('')) && !(key in labels),
  );
  const changed = Object.entries(labels).filter(([key, value]) => node.metadata.labels?.[key] !== value);
  const moved = node.metadata.annotations?.[annotations.agentId] !== agent.facts.id;
  if (stale.length === 0 && changed.length === 0 && !moved) return undefined;
  return {
    metadata: {
      labels: Object.fromEntries([...changed, ...stale.map((key) => [key, null])]),
      annotations: { [annotations.agentId]: agent.facts.id },
    },
  };
}

const ours = new Set(['MesosAgentRegistered', 'MesosAgentUnreachable']);

/** Health as Mesos sees it: when the agent is cut off, when it is back, and as long as no executor has spoken. */
function statusPatch(node: Node & Stored, agent: Agent, now: number): object | undefined {
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready');
  const wanted = readyOf(agent.reachable, now);
  const silent = !ready || ours.has(ready.reason ?? '') || !agent.reachable || !agent.executor;
  const conditions =
    silent && (ready?.reason !== wanted.reason || ready?.status !== wanted.status) ? [wanted] : undefined;
  const unsized = agent.facts.total !== undefined && isUnsized(node, agent);
  const advertised = agent.facts.total && advertisedPatch(node, agent);
  if (!conditions && !unsized && !advertised) return undefined;
  const sized = unsized ? { ...capacityOf(agent), addresses: addressesOf(agent) } : {};
  return {
    ...(conditions ? { conditions } : {}),
    ...sized,
    ...(advertised ? { allocatable: { ...(unsized ? capacityOf(agent).allocatable : {}), ...advertised } } : {}),
  };
}

/** What somebody advertised as capacity is for pods, and what is no longer advertised is not; undefined where that is told already. */
function advertisedPatch({ status }: Node, agent: Agent): Record<string, string | null> | undefined {
  const { capacity = {}, allocatable = {} } = status ?? {};
  const wrong = Object.keys({ ...capacity, ...allocatable }).filter(
    (name) => isAdvertised(name, agent.ofMesos) && capacity[name] !== allocatable[name],
  );
  return wrong.length > 0 ? Object.fromEntries(wrong.map((name) => [name, capacity[name] ?? null])) : undefined;
}

/** The executor says what there is, but of what is taken back now and then. */
const isUnsized = ({ status }: Node, agent: Agent): boolean =>
  status?.capacity?.pods !== capacityOf(agent).capacity?.pods ||
  (agent.isRevocable ? status?.capacity?.cpu !== capacityOf(agent).capacity?.cpu : !status?.capacity?.cpu);

function readyOf(reachable: boolean, now: number) {
  const time = timestamp(now);
  const times = { lastHeartbeatTime: time, lastTransitionTime: time };
  return reachable
    ? {
        type: 'Ready',
        status: 'True' as const,
        reason: 'MesosAgentRegistered',
        message: 'the Mesos agent takes tasks; its kubelet starts with the first pod',
        ...times,
      }
    : {
        type: 'Ready',
        status: 'Unknown' as const,
        reason: 'MesosAgentUnreachable',
        message: 'the Mesos master has lost contact with the agent',
        ...times,
      };
}

function capacityOf(agent: Agent): Pick<NodeStatus, 'capacity' | 'allocatable'> {
  const written = Object.fromEntries(
    Object.entries(agent.ofMesos)
      // No resource that a pod may ask for.
      .filter(([resource]) => resource !== portCount)
      .map(([resource, amount]) => [resource, formatAmount(resource, amount)]),
  );
  return { capacity: written, allocatable: written };
}

const formatAmount = (resource: string, amount: number): string => {
  if (resource === 'cpu') return formatMilli(amount);
  return resource === 'memory' || resource === 'ephemeral-storage'
    ? formatBytes(Math.floor(amount / 1024) * 1024)
    : String(amount);
};

function addressesOf({ facts }: Agent): NonNullable<NodeStatus['addresses']> {
  return [
    { type: 'InternalIP', address: facts.ip },
    { type: 'Hostname', address: facts.hostname },
  ];
}

/**
 * Attributes, fault domain and host name as labels; what cannot be a label value is left out. Of several attributes with one
 * name the first counts, as in offer constraints.
 */
export function labelsOf({ facts, name, isRevocable }: Agent): Record<string, string> {
  const labels: Record<string, string> = { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux' };
  if (isRevocable) labels[revocable] = 'true';
  const seen = new Set<string>();
  for (const attribute of facts.attributes) {
    if (seen.has(attribute.name)) continue;
    seen.add(attribute.name);
    const value = labelValue(attribute);
    if (value !== undefined && isLabelName(attribute.name)) labels[attributeLabel(attribute.name)] = value;
  }
  const fault = facts.domain?.fault_domain;
  if (fault) {
    labels['topology.kubernetes.io/region'] = fault.region.name;
    labels['topology.kubernetes.io/zone'] = fault.zone.name;
  }
  return labels;
}

const isLabelName = (text: string): boolean => /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(text);

function labelValue({ type, text, scalar, ranges }: Attribute): string | undefined {
  const value =
    type === 'TEXT'
      ? text?.value
      : type === 'SCALAR'
        ? String(scalar?.value)
        : (ranges?.range ?? []).map(({ begin, end }) => `${begin}-${end}`).join('_');
  return value !== undefined && (value === '' || isLabelName(value)) ? value : undefined;
}
