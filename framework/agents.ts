import { type Node, notReadyTaint } from '../api/kinds/node.ts';
import type { Pod } from '../api/kinds/pod.ts';
import { controllerOf } from '../api/meta.ts';
import { portCount } from '../scheduler/index.ts';
import type { ExecutorInfo } from '../mesos/tasks.ts';
import type { Offer } from '../mesos/offers.ts';
import type { Attribute, DomainInfo, Resource } from '../mesos/types.ts';
import { Advertised } from './advertised.ts';
import type { Window } from './maintenance.ts';
import { Place } from './places.ts';
import type { Quotas } from './quotas.ts';
import { Pool, type Want, amountsOf, fromThousandths, kubernetesName } from './resources.ts';
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
  /** Takes limits beside requests; undefined while only offers told of it. */
  limits?: boolean | undefined;
  /** All it has for our roles; undefined while only offers told of it. */
  total: readonly Resource[] | undefined;
}

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

export interface AgentOptions {
  /** What an executor takes beside the pods. */
  overhead: Want;
  /** Milliseconds before a machine is away that it gets no more pods. */
  lead: number;
  quotas: Quotas;
  /** Pods that a node may have. */
  maxPods: number;
  /** Of the class `revocable`. */
  isRevocable: boolean;
}

/** One agent: its executor and its pods, which all roles share, and a place for each role that it offers something to. */
export class Agent {
  readonly name: string;
  readonly isRevocable: boolean;
  facts: AgentFacts;
  /** Registered and talking to the master. */
  reachable = true;
  /** When it was last seen to leave, milliseconds; meaningful while not reachable. */
  lostAt = 0;
  readonly pods = new Map<string, Pod>();
  generation = 0;
  /** What pods may have of what Mesos knows. */
  ofMesos: Readonly<Record<string, number>> = {};
  /** What somebody wrote into the Node beside it. */
  advertised = Advertised.none;
  /** Both. */
  allocatable: Readonly<Record<string, number>> = {};
  /** When its machine will be away, as far as is known. */
  maintenance: Window | undefined;
  #drainingSince: number | undefined;
  /** Outstanding inverse offers, by id. */
  readonly inverseOffers = new Set<string>();
  #closing = false;
  /** Milliseconds before a machine is away that it gets no more pods. */
  readonly #lead: number;
  readonly #maxPods: number;
  /** What an executor takes beside the pods. */
  readonly overhead: Want;
  /** Of roles, whatever the agent. */
  readonly quotas: Quotas;
  /** The place whose seats bring the executor, until they have left: until then no other place has seats. */
  starting: Place | undefined;
  /** One of ours runs on it, and nobody has told yet how it was launched: no task can go to it. */
  executorIsUnknown = false;
  #executor: ExecutorInfo | undefined;
  #node: Node | undefined;
  #all = Pool.of([]);
  readonly #places = new Map<string, Place>();
  readonly #siblings = new Map<string, number>();

  constructor(name: string, facts: AgentFacts, { overhead, lead, quotas, maxPods, isRevocable }: AgentOptions) {
    this.name = name;
    this.isRevocable = isRevocable;
    this.facts = facts;
    this.overhead = overhead;
    this.quotas = quotas;
    this.#lead = lead;
    this.#maxPods = maxPods;
    this.learn(facts);
  }

  /** What it offers to a role. */
  place(role: string): Place {
    let place = this.#places.get(role);
    if (!place) this.#places.set(role, (place = new Place(this, role)));
    return place;
  }

  places(): Iterable<Place> {
    return this.#places.values();
  }

  /** Our executor on it, exactly as launched: later tasks must repeat it, whatever role they are of. */
  get executor(): ExecutorInfo | undefined {
    return this.#executor;
  }

  set executor(info: ExecutorInfo | undefined) {
    this.#executor = info;
    if (!info) this.starting = undefined;
  }

  /** The Node object as the apiserver has it; labels and taints are read from here. */
  get node(): Node | undefined {
    return this.#node;
  }

  set node(node: Node | undefined) {
    this.#node = node;
    this.#resize();
    this.refresh();
  }

  /** Not a node yet, or one that has not lost the taint that every new one has. */
  get isSettling(): boolean {
    return !this.#node || isNew(this.#node);
  }

  /** An agent that came under a new id takes over what is known of its node. */
  inherit(before: Agent): void {
    this.#node = before.#node;
    this.#resize();
    for (const pod of before.pods.values()) this.addPod(pod);
    this.refresh();
  }

  /** Its machine is away, or soon will be, when this was last looked at; or it is being drained. */
  get closing(): boolean {
    return this.#closing || this.isDraining;
  }

  /** Mesos drains it: what runs there is killed, and launches are dropped until its last executor has ended. */
  get isDraining(): boolean {
    return this.#drainingSince !== undefined;
  }

  /** Since when, or from when on, it is to be empty: milliseconds; undefined while it is not closing. */
  get closedFrom(): number | undefined {
    return this.#drainingSince ?? (this.#closing ? this.maintenance?.start : undefined);
  }

  /** True where that is news. */
  drains(now: number): boolean {
    if (this.isDraining) return false;
    this.#drainingSince = now;
    this.refresh();
    return true;
  }

  drained(): void {
    if (!this.isDraining) return;
    this.#drainingSince = undefined;
    this.refresh();
  }

  look(now: number): void {
    const { start, end } = this.maintenance ?? { start: Infinity, end: Infinity };
    const closing = now >= start - this.#lead && now < end;
    if (closing === this.#closing) return;
    this.#closing = closing;
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
    const { total, limits } = this.facts;
    this.facts = { ...facts, total: facts.total ?? total, limits: facts.limits ?? limits };
    const all: Record<string, number> = this.isRevocable && this.facts.total ? { cpu: 0 } : {};
    Object.assign(all, amountsOf(this.facts.total ?? [], this.isRevocable));
    for (const [name, thousandths] of this.overhead.scalars) {
      const resource = kubernetesName(name);
      if (all[resource] !== undefined) all[resource] = Math.max(0, all[resource] - fromThousandths(name, thousandths));
    }
    this.#all = Pool.of(this.facts.total ?? [], this.isRevocable);
    this.ofMesos = { ...all, [portCount]: this.#all.portCount(), pods: this.#maxPods };
    this.#resize();
  }

  /** A port of the host is one of those that it ever offers, as far as is known. */
  hasPort(port: number): boolean {
    return this.facts.total === undefined || this.#all.hasPort(port);
  }

  siblings(owner: string): number {
    return this.#siblings.get(owner) ?? 0;
  }

  addPod(pod: Pod): void {
    const uid = pod.metadata.uid!;
    if (this.pods.get(uid) !== pod) this.generation += 1;
    if (!this.pods.has(uid)) this.#count(pod, 1);
    this.pods.set(uid, pod);
    this.#used();
  }

  removePod(uid: string): void {
    const pod = this.pods.get(uid);
    if (!pod) return;
    this.generation += 1;
    this.pods.delete(uid);
    this.#count(pod, -1);
    this.#used();
  }

  /** Seats that were taken and not yet sent, of all roles. */
  takeReserved(): Task[] {
    const tasks = [...this.#places.values()].flatMap((place) => place.reserved.splice(0));
    this.starting = undefined;
    return tasks;
  }

  /** Puts back what a seat had taken, if its offers are still here. */
  giveBack(task: Task): void {
    this.place(task.role).giveBack(task);
  }

  /** Recomputes what policies see. */
  refresh(): void {
    for (const place of this.#places.values()) place.refresh();
  }

  /** Nothing is taken for what Mesos has while only offers tell of it. */
  #resize(): void {
    this.advertised = this.facts.total ? Advertised.on(this.#node, this.ofMesos) : Advertised.none;
    this.allocatable = this.advertised.isEmpty ? this.ofMesos : { ...this.ofMesos, ...this.advertised.amounts };
    this.#touch();
  }

  /** What is offered does not change with the pods; what is advertised does. */
  #used(): void {
    if (this.advertised.isEmpty) this.#touch();
    else this.refresh();
  }

  #touch(): void {
    for (const place of this.#places.values()) place.version += 1;
  }

  #count(pod: Pod, change: number): void {
    const owner = controllerOf(pod)?.uid;
    if (owner) this.#siblings.set(owner, this.siblings(owner) + change);
  }
}

/** Ready, and the taint that says otherwise is about to go. */
const isNew = ({ spec, status }: Node): boolean =>
  spec?.taints?.some(({ key }) => key === notReadyTaint) === true &&
  status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true;
