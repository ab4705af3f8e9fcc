import { isExtendedResource } from '../api/extended-resources.ts';
import type { Node } from '../api/kinds/node.ts';
import type { Pod } from '../api/kinds/pod.ts';
import { type Amounts, podRequests } from '../api/pod-requests.ts';
import { quantity } from '../api/quantity.ts';
import type { Needs } from '../scheduler/index.ts';

/** Whether a resource of a Node's capacity was written there by somebody: `ofMesos` is what its agent has. */
export const isAdvertised = (resource: string, ofMesos: Readonly<Record<string, number>>): boolean =>
  isExtendedResource(resource) && ofMesos[resource] === undefined;

/**
 * Extended resources that somebody wrote into the status of a Node: Mesos does not know of them, so pods take them of the
 * Node and not of an offer, whatever their role.
 * https://kubernetes.io/docs/tasks/administer-cluster/extended-resource-node/
 */
export class Advertised {
  static readonly none = new Advertised({});
  readonly amounts: Readonly<Amounts>;
  readonly #names: readonly string[];

  private constructor(amounts: Amounts) {
    this.amounts = amounts;
    this.#names = Object.keys(amounts);
  }

  static on(node: Node | undefined, ofMesos: Readonly<Record<string, number>>): Advertised {
    const all = Object.entries(node?.status?.capacity ?? {});
    const own = all.filter(([name]) => isAdvertised(name, ofMesos));
    if (own.length === 0) return Advertised.none;
    return new Advertised(Object.fromEntries(own.map(([name, text]) => [name, quantity(text)])));
  }

  get isEmpty(): boolean {
    return this.#names.length === 0;
  }

  /** What these pods leave of it. */
  free(pods: Iterable<Pod>): Amounts {
    const left = { ...this.amounts };
    if (this.isEmpty) return left;
    for (const pod of pods) {
      const requests = podRequests(pod);
      for (const name of this.#names) left[name]! -= requests[name] ?? 0;
    }
    return left;
  }

  /** The pod's needs of Mesos; undefined where the other pods leave too little of what is advertised. */
  restOf(pod: Pod, needs: Needs, pods: Iterable<Pod>): Needs | undefined {
    if (this.isEmpty) return needs;
    const others = [...pods].filter(({ metadata }) => metadata.uid !== pod.metadata.uid);
    const left = this.free(others);
    if (needs.some(({ resource, amount }) => amount > (left[resource] ?? Infinity))) return undefined;
    return needs.filter(({ resource }) => left[resource] === undefined);
  }
}
