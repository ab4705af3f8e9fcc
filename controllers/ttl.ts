import { Node } from '../api/kinds/node.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';

/** Seconds that the kubelet of a node may go on with a ConfigMap or Secret before it looks again. */
const annotation = 'node.alpha.kubernetes.io/ttl';

/** The larger the cluster, the longer; between two steps the one that holds stays, so that a node more or less changes nothing. */
const steps = [
  { atLeast: 0, atMost: 100, seconds: 0 },
  { atLeast: 90, atMost: 500, seconds: 15 },
  { atLeast: 450, atMost: 1000, seconds: 30 },
  { atLeast: 900, atMost: 2000, seconds: 60 },
  { atLeast: 1800, atMost: Infinity, seconds: 300 },
] as const;

/** The step for so many nodes, coming from step `from`. Exported for its test. */
export function stepFor(nodes: number, from: number): number {
  let step = from;
  while (nodes > steps[step]!.atMost) step += 1;
  while (nodes < steps[step]!.atLeast) step -= 1;
  return step;
}

/** Tells every kubelet how often to look at ConfigMaps and Secrets. */
export function ttl({ client, informer }: World): Reconciler {
  const nodes = informer(Node);
  let step = 0;
  return {
    name: 'ttl',
    watches: [
      watching(nodes, ({ object }) => {
        const before = step;
        step = stepFor(nodes.size, step);
        return step === before ? [object.metadata.name] : [...nodes.list()].map(({ metadata }) => metadata.name);
      }),
    ],
    async reconcile(name, signal) {
      const seconds = String(steps[step]!.seconds);
      const node = nodes.get(name);
      if (!node || node.metadata.annotations?.[annotation] === seconds) return;
      await client.patch(Node, { name }, { metadata: { annotations: { [annotation]: seconds } } }, {}, signal);
    },
  };
}
