import type { Node } from '../../api/kinds/node.ts';
import type { Pod, PodSpec } from '../../api/kinds/pod.ts';
import type { Stored } from '../../api/meta.ts';
import type { Needs, NodeView, Quota } from '../../scheduler/index.ts';
import type { Plugin, World } from '../../scheduler/plugin.ts';

let serial = 0;

/** A complete pod with one container; `spec` overrides. */
export function makePod(
  name: string,
  spec: Partial<PodSpec> = {},
  metadata: Partial<Pod['metadata']> = {},
): Pod & Stored {
  serial += 1;
  return {
    metadata: { name, namespace: 'default', uid: `uid-${serial}`, resourceVersion: String(serial), ...metadata },
    spec: { containers: [{ name: 'main', image: 'busybox' }], ...spec },
  };
}

export interface NodeWish {
  cpu?: number;
  memory?: number;
  labels?: Record<string, string>;
  spec?: NonNullable<Node['spec']>;
  pods?: Pod[];
  ports?: number[];
  /** That it does not have now and may be offered. */
  awaitedPorts?: number[];
  unavailable?: string;
  /** Free now; all of it unless told. */
  free?: Record<string, number>;
  quota?: Quota;
  /** What pods could use at most; cpu, memory and 110 pods unless told. */
  allocatable?: Record<string, number>;
}

const gibi = 1024 ** 3;

/** A node with 4 cores and 8 GiB that offers all of it. */
export function makeNode(
  name: string,
  {
    cpu = 4000,
    memory = 8 * gibi,
    labels = {},
    spec = {},
    pods = [],
    ports,
    awaitedPorts = [],
    unavailable,
    free,
    quota,
    allocatable = { cpu, memory, pods: 110 },
  }: NodeWish = {},
): NodeView {
  return {
    name,
    node: { metadata: { name, labels: { 'kubernetes.io/hostname': name, ...labels } }, spec },
    allocatable,
    free: free ?? { cpu, memory },
    pods: new Map(pods.map((pod) => [pod.metadata.uid!, pod])),
    generation: 0,
    version: 0,
    siblings: (owner) => pods.filter((pod) => pod.metadata.ownerReferences?.some(({ uid }) => uid === owner)).length,
    hasPort: (port) => ports?.includes(port) ?? true,
    awaitsPort: (port) => awaitedPorts.includes(port),
    unavailable,
    quota,
  };
}

export const small: Needs = [
  { resource: 'cpu', amount: 250 },
  { resource: 'memory', amount: 64 * 1024 * 1024 },
];

interface Circumstances {
  needs?: Needs;
  world?: World;
}

/** Why a policy refuses each node; undefined where it does not. */
export function refusals(
  plugin: Plugin,
  pod: Pod,
  nodes: readonly NodeView[],
  { needs = small, world }: Circumstances = {},
): (string | undefined)[] {
  const test = plugin.filter?.({ pod, needs, nodes, ...(world ? { world } : {}) });
  return nodes.map((node) => test?.(node));
}

/** What a policy thinks of each node, rounded; undefined where it makes no difference between them. */
export function scores(
  plugin: Plugin,
  pod: Pod,
  nodes: readonly NodeView[],
  { needs = small, world }: Circumstances = {},
): number[] | undefined {
  const score = plugin.score?.({ pod, needs, nodes, ...(world ? { world } : {}) });
  return score && nodes.map((node, i) => Math.round(score(node, i)));
}
