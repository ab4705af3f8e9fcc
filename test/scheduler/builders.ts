import type { Node } from '../../api/kinds/node.ts';
import type { Pod, PodSpec } from '../../api/kinds/pod.ts';
import type { Stored } from '../../api/meta.ts';
import type { Needs, NodeView, Quota } from '../../scheduler/index.ts';

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
  }: NodeWish = {},
): NodeView {
  return {
    name,
    node: { metadata: { name, labels: { 'kubernetes.io/hostname': name, ...labels } }, spec },
    allocatable: { cpu, memory, pods: 110 },
    free: free ?? { cpu, memory },
    pods: new Map(pods.map((pod) => [pod.metadata.uid!, pod])),
    generation: 0,
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
