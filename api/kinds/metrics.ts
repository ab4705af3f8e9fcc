import { nameColumn } from '../columns.ts';
import { kind } from '../kind.ts';
import type { KubeObject } from '../meta.ts';

/** Amounts as `kubectl top` reads them: `cpu` in cores, `memory` in bytes, both quantities. */
export interface Usage {
  cpu: string;
  memory: string;
}

interface Sampled extends KubeObject {
  /** When it was measured, RFC 3339. */
  timestamp: string;
  /** Over how long the CPU was averaged, such as `15s`. */
  window: string;
}

export interface NodeMetrics extends Sampled {
  usage: Usage;
}

export interface PodMetrics extends Sampled {
  containers: { name: string; usage: Usage }[];
}

const common = { group: 'metrics.k8s.io', version: 'v1beta1', verbs: ['get', 'list'], singular: '' };

/** Never kept: asked of the kubelets. */
export const NodeMetrics = kind<NodeMetrics>({
  ...common,
  kind: 'NodeMetrics',
  plural: 'nodes',
  namespaced: false,
  columns: [
    nameColumn,
    { name: 'Cpu', value: ({ usage }) => usage.cpu },
    { name: 'Memory', value: ({ usage }) => usage.memory },
    { name: 'Window', value: ({ window }) => window },
  ],
});

/** Never kept: asked of the kubelets. */
export const PodMetrics = kind<PodMetrics>({
  ...common,
  kind: 'PodMetrics',
  plural: 'pods',
  namespaced: true,
  columns: [nameColumn, { name: 'Window', value: ({ window }) => window }],
});
