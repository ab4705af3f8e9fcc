import { type Node, zoneLabel } from '../../api/kinds/node.ts';
import type { Pod } from '../../api/kinds/pod.ts';
import { controllerOf } from '../../api/meta.ts';
import { among } from '../column.ts';
import { maxOf } from '../extremes.ts';
import type { Plugin, World } from '../plugin.ts';
import { type PodSelection, alive, countColumn, namespaceOf, selects, servicesOf } from '../pod-selection.ts';

export interface SelectorSpreadArgs {
  /** Only pods of one service are kept apart, as the ServiceSpreadingPriority of old did, not those of one controller. */
  servicesOnly?: boolean;
}

const controllers = new Set(['ReplicationController', 'ReplicaSet', 'StatefulSet']);
const regionLabel = 'topology.kubernetes.io/region';
/** How much of the score is about zones, where nodes say theirs. */
const zoneShare = 2 / 3;

/** Prefers nodes and zones that have fewer pods of the same services and controller, so that the loss of one costs little. */
export function selectorSpread({ servicesOnly = false }: SelectorSpreadArgs = {}): Plugin {
  return {
    name: 'SelectorSpread',
    score: (ask) => {
      const { pod, nodes, world } = ask;
      if (pod.spec.topologySpreadConstraints?.length) return undefined;
      const others = alike(pod, world, servicesOnly);
      if (!others) return undefined;
      const counts = among(ask, countColumn(others));
      const most = maxOf(counts);
      if (most === 0) return undefined;
      const byZone = new Map<string, number>();
      for (const [i, { node }] of nodes.entries()) {
        const zone = zoneOf(node);
        if (zone) byZone.set(zone, (byZone.get(zone) ?? 0) + counts[i]!);
      }
      const mostInZone = Math.max(1, maxOf([...byZone.values()]));
      return ({ node }, i) => {
        const score = 100 - (100 * counts[i]!) / most;
        const zone = zoneOf(node);
        if (!zone) return score;
        return (1 - zoneShare) * score + zoneShare * (100 - (100 * byZone.get(zone)!) / mostInZone);
      };
    },
  };
}

const zoneOf = ({ metadata: { labels = {} } }: Node): string =>
  labels[zoneLabel] ? `${labels[regionLabel] ?? ''} ${labels[zoneLabel]}` : '';

/** Pods that all services of the pod select and its controller has made; undefined where it has neither. */
function alike(pod: Pod, world: World | undefined, servicesOnly: boolean): PodSelection | undefined {
  const namespace = namespaceOf(pod);
  const services = servicesOf(pod, world);
  const controller = servicesOnly ? undefined : controllerOf(pod);
  const owner = controller && controllers.has(controller.kind) ? controller.uid : undefined;
  if (services.length === 0 && owner === undefined) return undefined;
  return alive({
    key: `alike ${namespace} ${owner ?? ''} ${JSON.stringify(services)}`,
    has: (other) =>
      namespaceOf(other) === namespace &&
      (owner === undefined || controllerOf(other)?.uid === owner) &&
      services.every((selector) => selects(selector, other)),
  });
}
