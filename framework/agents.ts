import type { Node } from '../api/kinds/node.ts';
import type { Pod } from '../api/kinds/pod.ts';
import { controllerOf } from '../api/meta.ts';
import type { ExecutorInfo } from '../mesos/tasks.ts';
import type { Attribute, DomainInfo, Offer, Resource } from '../mesos/types.ts';
import { type NodeView, noOffer } from '../scheduler/index.ts';
import { Pool, type Taken, type Want, amountsOf, fromThousandths, kubernetesName, nothing } from './resources.ts';
import type { Task } from './tasks.ts';

/** What is known of an agent's nature, from the operator API or from an offer. */
export interface AgentFacts {
  id: string;
  hostname: string;
  /** Of the agent's own HTTP address. */
  ip: string;
  port: number;
  attributes: readonly Attribute[];
  domain: DomainInfo | undefined;
  /** All it has for our role; undefined while only offers told of it. */
  total: readonly Resource[] | undefined;
}

const podsPerNode = 110;

/** Under this name a policy sees a volume that is offered: there is one of it, or none. */
export const volumeResource = (persistenceId: string): string => `volume ${persistenceId}`;

/** What an offer tells of its agent. */
export function factsOf(offer: Offer): AgentFacts {
  return {
    id: offer.agent_id.value,
    hostname: offer.hostname,
    ip: offer.url?.address.ip ?? offer.url?.address.hostname ?? offer.hostname,
    port: offer.url?.address.port ?? 5051,
    attributes: offer.attributes ?? [],
    domain: offer.domain,
    total: undefined,
  };
}

/**
 * One agent and what we hold of it: its offers, the pool of resources they make, the seats taken from the pool. Its other
 * face is a NodeView, kept up to date with every step.
 */
export class Agent implements NodeView {
  readonly name: string;
  facts: AgentFacts;
  /** Registered and talking to the master. */
  reachable = true;
  /** When it was last seen to leave, milliseconds; meaningful while not reachable. */
  lostAt = 0;
  /** Our executor on it, exactly as launched: later tasks must repeat it. */
  executor: ExecutorInfo | undefined;
  /** Seats taken from the pool and not yet sent. */
  reserved: Task[] = [];
  readonly pods = new Map<string, Pod>();
  generation = 0;
  readonly offers = new Map<string, Offer>();
  /** When the oldest offer in hand came, milliseconds. */
  heldSince = 0;
  free: Record<string, number> = {};
  allocatable: Record<string, number> = {};
  unavailable: string | undefined = noOffer;
  #node: Node | undefined;
  #pool = Pool.of([]);
  readonly #overhead: Want;
  readonly #siblings = new Map<string, number>();

  constructor(name: string, facts: AgentFacts, overhead: Want) {
    this.name = name;
    this.facts = facts;
    this.#overhead = overhead;
    this.learn(facts);
  }

  /** The Node object as the apiserver has it; labels and taints are read from here. */
  get node(): Node {
    return this.#node ?? { metadata: { name: this.name } };
  }

  set node(node: Node | undefined) {
    this.#node = node;
    this.refresh();
  }

  /** An agent that came under a new id takes over what is known of its node. */
  inherit(before: Agent): void {
    this.#node = before.#node;
    for (const pod of before.pods.values()) this.addPod(pod);
    this.refresh();
  }

  lost(now: number): void {
    this.reachable = false;
    this.lostAt = now;
    this.refresh();
  }

  found(): void {
    if (this.reachable) return;
    this.reachable = true;
    this.refresh();
  }

  learn(facts: AgentFacts): void {
    this.facts = { ...facts, total: facts.total ?? this.facts.total };
    const all = amountsOf(this.facts.total ?? []);
    for (const [name, thousandths] of this.#overhead.scalars) {
      const resource = kubernetesName(name);
      if (all[resource] !== undefined) all[resource] = Math.max(0, all[resource] - fromThousandths(name, thousandths));
    }
    this.allocatable = { ...all, pods: podsPerNode };
  }

  hasPort(port: number): boolean {
    return this.#pool.hasPort(port);
  }

  siblings(owner: string): number {
    return this.#siblings.get(owner) ?? 0;
  }

  addPod(pod: Pod): void {
    const uid = pod.metadata.uid!;
    if (this.pods.get(uid) !== pod) this.generation += 1;
    if (!this.pods.has(uid)) this.#count(pod, 1);
    this.pods.set(uid, pod);
  }

  removePod(uid: string): void {
    const pod = this.pods.get(uid);
    if (!pod) return;
    this.generation += 1;
    this.pods.delete(uid);
    this.#count(pod, -1);
  }

  addOffer(offer: Offer, now: number): void {
    if (this.offers.size === 0) this.heldSince = now;
    this.offers.set(offer.id.value, offer);
    for (const resource of offer.resources ?? []) this.#pool.add(resource);
    this.refresh();
  }

  /** An offer is void. Answers the reserved tasks that the rest cannot carry. */
  dropOffer(id: string): Task[] {
    if (!this.offers.delete(id)) return [];
    this.#pool = Pool.of([...this.offers.values()].flatMap((offer) => offer.resources ?? []));
    const kept: Task[] = [];
    const lost: Task[] = [];
    const overhead = this.reserved.some((task) => task.carriesExecutor) ? this.#pool.take(this.#overhead) : nothing;
    for (const task of this.reserved) {
      const taken = overhead && this.#pool.take(task.want);
      if (taken) kept.push(Object.assign(task, taken));
      else lost.push(task);
    }
    this.reserved = kept;
    if (lost.some((task) => task.carriesExecutor) && kept.length === 0) this.executor = undefined;
    this.refresh();
    return lost;
  }

  /** Resources for a pod, with those of an executor where none runs yet; undefined when they are not there. */
  take(want: Want): { taken: Taken; executor: Resource[] | undefined } | undefined {
    const executor = this.executor ? undefined : this.#pool.take(this.#overhead);
    if (!this.executor && !executor) return undefined;
    const taken = this.#pool.take(want);
    if (taken) return { taken, executor: executor?.resources };
    for (const part of executor?.consumed ?? []) this.#pool.add(part);
    return undefined;
  }

  /** Puts back what a seat had taken, if its offers are still here. */
  giveBack(task: Task): void {
    this.reserved = this.reserved.filter((other) => other !== task);
    for (const resource of task.consumed) this.#pool.add(resource);
    if (task.carriesExecutor) this.#moveExecutor();
    this.refresh();
  }

  /** Everything in hand leaves: into an ACCEPT or a DECLINE, or the master took it back. Answers the offers' ids. */
  clearOffers(): string[] {
    const ids = [...this.offers.keys()];
    this.offers.clear();
    this.#pool = Pool.of([]);
    this.refresh();
    return ids;
  }

  /** Recomputes what policies see. */
  refresh(): void {
    this.unavailable = this.#whyUnavailable();
    const free: Record<string, number> = {};
    for (const [name, thousandths] of this.#pool.scalars()) {
      const overhead = this.executor ? 0 : (this.#overhead.scalars.get(name) ?? 0);
      free[kubernetesName(name)] = fromThousandths(name, Math.max(0, thousandths - overhead));
    }
    for (const id of this.#pool.volumeIds()) free[volumeResource(id)] = 1;
    this.free = free;
  }

  #whyUnavailable(): string | undefined {
    if (!this.reachable) return 'node(s) had an unreachable Mesos agent';
    if (!this.#node) return 'node(s) were being registered';
    return this.offers.size === 0 ? noOffer : undefined;
  }

  /** The executor's resources go with the first seat; when that is given back, the next one takes them over. */
  #moveExecutor(): void {
    const heir = this.reserved[0];
    if (heir) {
      heir.carriesExecutor = true;
      return;
    }
    for (const resource of this.executor?.resources ?? []) this.#pool.add(resource);
    this.executor = undefined;
  }

  #count(pod: Pod, change: number): void {
    const owner = controllerOf(pod)?.uid;
    if (owner) this.#siblings.set(owner, this.siblings(owner) + change);
  }
}
