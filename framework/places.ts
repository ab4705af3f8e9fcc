import type { Node } from '../api/kinds/node.ts';
import { type Pod, isTerminal } from '../api/kinds/pod.ts';
import { hostPortsOf } from '../api/host-ports.ts';
import type { Offer } from '../mesos/offers.ts';
import type { Resource } from '../mesos/types.ts';
import { type NodeView, type Quota, noOffer, portCount } from '../scheduler/index.ts';
import type { Agent } from './agents.ts';
import { Pool, type Taken, type Want, fromThousandths, kubernetesName, nothing } from './resources.ts';
import type { Task } from './tasks.ts';
import { volumeResource } from './volumes.ts';

/**
 * What we hold of one agent for one role: its offers, the pool of resources they make, the seats taken from the pool.
 * Pods of the role see the agent as this NodeView, kept up to date with every step.
 */
export class Place implements NodeView {
  readonly agent: Agent;
  readonly role: string;
  /** Seats taken from the pool and not yet sent. */
  reserved: Task[] = [];
  readonly offers = new Map<string, Offer>();
  /** When the oldest offer in hand came, milliseconds. */
  heldSince = 0;
  free: Record<string, number> = {};
  unavailable: string | undefined = noOffer;
  version = 0;
  #pool: Pool;
  readonly #never: string | undefined;

  /** `never` says why pods of the role have nothing to hope for. */
  constructor(agent: Agent, role: string, never?: string) {
    this.agent = agent;
    this.role = role;
    this.#pool = Pool.of([], agent.isRevocable);
    this.#never = never;
    this.refresh();
  }

  get name(): string {
    return this.agent.name;
  }

  get node(): Node {
    return this.agent.node ?? { metadata: { name: this.agent.name } };
  }

  set node(node: Node | undefined) {
    this.agent.node = node;
  }

  get isSettling(): boolean {
    return this.agent.isSettling;
  }

  get allocatable(): Readonly<Record<string, number>> {
    return this.agent.allocatable;
  }

  get unoffered(): Readonly<Record<string, number>> {
    return this.agent.advertised.amounts;
  }

  get quota(): Quota | undefined {
    return this.agent.quotas.of(this.role);
  }

  get pods(): ReadonlyMap<string, Pod> {
    return this.agent.pods;
  }

  get generation(): number {
    return this.agent.generation;
  }

  siblings(owner: string): number {
    return this.agent.siblings(owner);
  }

  hasPort(port: number): boolean {
    return this.#pool.hasPort(port);
  }

  awaitsPort(port: number): boolean {
    const isTaken = () => [...this.pods.values()].some((pod) => !isTerminal(pod) && hostPortsOf(pod).includes(port));
    return this.agent.hasPort(port) && !isTaken();
  }

  addOffer(offer: Offer, now: number): void {
    if (this.offers.size === 0) this.heldSince = now;
    this.offers.set(offer.id.value, offer);
    for (const resource of offer.resources ?? []) this.#pool.add(resource);
    this.agent.refresh();
  }

  /** An offer is void. Answers the reserved tasks that the rest cannot carry. */
  dropOffer(id: string): Task[] {
    if (!this.offers.delete(id)) return [];
    const left = [...this.offers.values()].flatMap((offer) => offer.resources ?? []);
    this.#pool = Pool.of(left, this.agent.isRevocable);
    const kept: Task[] = [];
    const lost: Task[] = [];
    const { overhead } = this.agent;
    const executor = this.reserved.some((task) => task.carriesExecutor) ? this.#pool.take(overhead) : nothing;
    for (const task of this.reserved) {
      const taken = executor && this.#pool.take(task.want);
      if (taken) kept.push(Object.assign(task, taken));
      else lost.push(task);
    }
    this.reserved = kept;
    if (lost.some((task) => task.carriesExecutor) && kept.length === 0) this.agent.executor = undefined;
    this.agent.refresh();
    return lost;
  }

  /** Resources for a pod, with those of an executor where none runs yet; undefined when they are not there. */
  take(want: Want): { taken: Taken; executor: Resource[] | undefined } | undefined {
    if (this.#awaitsExecutor()) return undefined;
    const executor = this.agent.executor ? undefined : this.#pool.take(this.agent.overhead);
    if (!this.agent.executor && !executor) return undefined;
    const taken = this.#pool.take(want);
    if (taken) return { taken, executor: executor?.resources };
    for (const part of executor?.consumed ?? []) this.#pool.add(part);
    return undefined;
  }

  giveBack(task: Task): void {
    this.reserved = this.reserved.filter((other) => other !== task);
    for (const resource of task.consumed) this.#pool.add(resource);
    if (task.carriesExecutor) this.#moveExecutor();
    this.agent.refresh();
  }

  /** Everything in hand leaves: into an ACCEPT or a DECLINE, or the master took it back. Answers the offers' ids. */
  clearOffers(): string[] {
    const ids = [...this.offers.keys()];
    this.offers.clear();
    this.#pool = Pool.of([], this.agent.isRevocable);
    this.refresh();
    return ids;
  }

  refresh(): void {
    this.version += 1;
    this.unavailable = this.#whyUnavailable();
    const free: Record<string, number> = { [portCount]: this.#pool.portCount() };
    for (const [name, thousandths] of this.#pool.scalars()) {
      const overhead = this.agent.executor ? 0 : (this.agent.overhead.scalars.get(name) ?? 0);
      free[kubernetesName(name)] = fromThousandths(name, Math.max(0, thousandths - overhead));
    }
    for (const id of this.#pool.volumeIds()) free[volumeResource(id)] = 1;
    this.free = Object.assign(free, this.agent.advertised.free(this.agent.pods.values()));
  }

  #whyUnavailable(): string | undefined {
    if (this.#never !== undefined) return this.#never;
    if (!this.agent.reachable) return 'node(s) had an unreachable Mesos agent';
    if (!this.agent.node) return 'node(s) were being registered';
    if (this.agent.isDraining) return 'node(s) had a Mesos agent that is being drained';
    if (this.agent.closing) return 'node(s) will be down for maintenance';
    return this.offers.size === 0 || this.#awaitsExecutor() ? noOffer : undefined;
  }

  /**
   * The executor comes with seats of another role: a task that was there before it would have to bring it, too. Or it is there,
   * and a task would have to name it as it is.
   */
  #awaitsExecutor(): boolean {
    if (this.agent.executorIsUnknown) return true;
    return this.agent.starting !== undefined && this.agent.starting !== this;
  }

  /** The executor's resources go with the first seat; when that is given back, the next one takes them over. */
  #moveExecutor(): void {
    const heir = this.reserved[0];
    if (heir) {
      heir.carriesExecutor = true;
      return;
    }
    for (const resource of this.agent.executor?.resources ?? []) this.#pool.add(resource);
    this.agent.executor = undefined;
  }
}
