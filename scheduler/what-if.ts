import { hostPortsOf } from '../api/host-ports.ts';
import type { Pod } from '../api/kinds/pod.ts';
import { controllerOf } from '../api/meta.ts';
import { type Needs, type NodeView, noOffer, portCount } from './cluster.ts';

type NeedsOf = (pod: Pod) => Needs;

let views = 0;

/** The node as it will be when these pods have ended. */
export function without(node: NodeView, gone: ReadonlySet<Pod>, needsOf: NeedsOf): NodeView {
  const ports = new Set([...gone].flatMap(hostPortsOf));
  return {
    ...changed(node, gone, needsOf, 1),
    pods: new Map([...node.pods].filter(([, pod]) => !gone.has(pod))),
    hasPort: (port) => ports.has(port) || node.hasPort(port),
    // What they leave is offered when they are gone.
    unavailable: node.unavailable === noOffer ? undefined : node.unavailable,
  };
}

/** The node as it will be when these pods have come. */
export function withAlso(node: NodeView, come: ReadonlySet<Pod>, needsOf: NeedsOf): NodeView {
  const ports = new Set([...come].flatMap(hostPortsOf));
  return {
    ...changed(node, come, needsOf, -1),
    pods: new Map([...node.pods, ...[...come].map((pod) => [pod.metadata.uid!, pod] as const)]),
    hasPort: (port) => !ports.has(port) && node.hasPort(port),
    awaitsPort: (port) => !ports.has(port) && node.awaitsPort(port),
  };
}

/** `sign` 1: what the pods hold is free; -1: it is taken. */
function changed(node: NodeView, pods: ReadonlySet<Pod>, needsOf: NeedsOf, sign: 1 | -1): NodeView {
  const free: Record<string, number> = { ...node.free };
  const add = (resource: string, amount: number) => (free[resource] = (free[resource] ?? 0) + sign * amount);
  for (const pod of pods) {
    for (const { resource, amount } of needsOf(pod)) add(resource, amount);
    add(portCount, hostPortsOf(pod).length);
  }
  const siblings = (owner: string) => [...pods].filter((pod) => controllerOf(pod)?.uid === owner).length;
  // A view of its own for whatever is kept by the node's generation or version.
  return {
    name: node.name,
    node: node.node,
    free,
    allocatable: node.allocatable,
    ...(node.unoffered ? { unoffered: node.unoffered } : {}),
    quota: node.quota,
    pods: node.pods,
    generation: --views,
    version: views,
    siblings: (owner) => node.siblings(owner) - sign * siblings(owner),
    hasPort: (port) => node.hasPort(port),
    awaitsPort: (port) => node.awaitsPort(port),
    unavailable: node.unavailable,
  };
}
