import type { Pod } from '../api/kinds/pod.ts';
import { mayBeRevoked } from '../api/revocable.ts';
import type { Offer } from '../mesos/offers.ts';
import type { Resource } from '../mesos/types.ts';
import type { ClaimedVolumes, Cluster, Needs, NodeView, Seat } from '../scheduler/index.ts';

/**
 * Beside its usual node an agent is one of the class `revocable`, with an executor of its own: its cores are those that
 * Mesos takes back when their owners want them. All else it has is as on the usual node, since Mesos forbids that a task and
 * its executor mix both kinds of one resource.
 */
export const isTakenBack = ({ name, revocable }: Resource): boolean => name === 'cpus' && revocable !== undefined;

/** What the pods of a class may have of an agent. */
export const isOfClass = (resource: Resource, revocable: boolean): boolean =>
  revocable && resource.name === 'cpus' ? isTakenBack(resource) : !resource.revocable;

/** The offers that are of use to a class, and the ids of the others. */
export function sift(offers: readonly Offer[], revocable: boolean): [useful: readonly Offer[], useless: string[]] {
  if (!revocable) return [offers, []];
  const isUseful = ({ resources = [] }: Offer) => resources.some(isTakenBack);
  return [offers.filter(isUseful), offers.filter((offer) => !isUseful(offer)).map(({ id }) => id.value)];
}

/** Names of the class's framework, executor and nodes end so. */
export const suffix = '-revocable';

/** Two frameworks of one scheduler, each with its own nodes: pods go by what they may lose. */
export class Classes implements Cluster {
  readonly #usual: Cluster;
  readonly #revocable: Cluster;

  constructor(usual: Cluster, revocable: Cluster) {
    this.#usual = usual;
    this.#revocable = revocable;
  }

  nodes(pod?: Pod): readonly NodeView[] {
    return pod ? this.#of(pod).nodes(pod) : [...this.#usual.nodes(), ...this.#revocable.nodes()];
  }

  needs(pod: Pod): Needs {
    return this.#of(pod).needs(pod);
  }

  /** A pod may have got its seat before somebody changed its annotation. */
  seatOf(pod: Pod): Seat | undefined {
    return this.#usual.seatOf(pod) ?? this.#revocable.seatOf(pod);
  }

  want(pods: readonly Pod[]): void {
    this.#usual.want(pods.filter((pod) => !mayBeRevoked(pod)));
    this.#revocable.want(pods.filter(mayBeRevoked));
  }

  reserve(pod: Pod, node: string, volumes?: ClaimedVolumes): Seat | undefined {
    return this.#of(pod).reserve(pod, node, volumes);
  }

  release(pod: Pod): void {
    this.#usual.release(pod);
    this.#revocable.release(pod);
  }

  onChange(listener: () => void): void {
    this.#usual.onChange(listener);
    this.#revocable.onChange(listener);
  }

  #of(pod: Pod): Cluster {
    return mayBeRevoked(pod) ? this.#revocable : this.#usual;
  }
}
