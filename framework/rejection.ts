import { annotations } from '../api/kinds/names.ts';
import { isTerminal, type Pod } from '../api/kinds/pod.ts';
import { hostPortsOf } from '../api/host-ports.ts';
import type { Needs } from '../scheduler/index.ts';
import type { Agent } from './agents.ts';

export interface Rejection {
  /** As a kubelet has it: `NodePorts`, `OutOfcpu`. */
  reason: string;
  message: string;
}

/**
 * Why a pod that somebody bound to a node by hand cannot run there beside the pods that are there: a kubelet fails such a
 * pod at once, so that its controller makes another. Undefined for one that may run now or later, when Mesos offers what
 * other frameworks have, and for one that ran already.
 */
export function rejectionOf(pod: Pod, agent: Agent, needs: (pod: Pod) => Needs): Rejection | undefined {
  if (pod.metadata.annotations?.[annotations.taskId] !== undefined) return undefined;
  const others = [...agent.pods.values()].filter((one) => one.metadata.uid !== pod.metadata.uid && !isTerminal(one));
  return portsMissing(pod, others, agent) ?? resourceMissing(pod, others, agent, needs);
}

function portsMissing(pod: Pod, others: readonly Pod[], agent: Agent): Rejection | undefined {
  const wanted = hostPortsOf(pod);
  if (wanted.length === 0) return undefined;
  const taken = new Set(others.flatMap(hostPortsOf));
  if (wanted.some((port) => taken.has(port)))
    return {
      reason: 'NodePorts',
      message:
        "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
    };
  const missing = wanted.find((port) => !agent.hasPort(port));
  if (missing === undefined) return undefined;
  return {
    reason: 'NodePorts',
    message: `Pod was rejected: Predicate NodePorts failed: port ${missing} is not among the ports that the Mesos agent of node ${agent.name} has`,
  };
}

function resourceMissing(
  pod: Pod,
  others: readonly Pod[],
  { allocatable, facts }: Agent,
  needs: (pod: Pod) => Needs,
): Rejection | undefined {
  if (!facts.total) return undefined;
  const amountOf = (one: Pod, resource: string) => needs(one).find((need) => need.resource === resource)?.amount ?? 0;
  for (const { resource, amount: requested } of needs(pod)) {
    const capacity = allocatable[resource] ?? 0;
    const used = others.reduce((sum, one) => sum + amountOf(one, resource), 0);
    if (used + requested > capacity)
      return {
        reason: `OutOf${resource}`,
        message: `Pod was rejected: Node didn't have enough resource: ${resource}, requested: ${requested}, used: ${used}, capacity: ${capacity}`,
      };
  }
  return undefined;
}
