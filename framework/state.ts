import { type Pod, isMirrorPod } from '../api/kinds/pod.ts';
import type { Logger } from '../lib/log.ts';
import type { QuotaConfig } from '../mesos/master.ts';
import type { Call } from '../mesos/scheduler.ts';
import type { TaskStatus } from '../mesos/tasks.ts';
import type { Offer } from '../mesos/offers.ts';
import type { Role } from '../mesos/types.ts';
import type { ClaimedVolumes, Seat } from '../scheduler/index.ts';
import { type Agent, type AgentFacts, factsOf } from './agents.ts';
import { Calls } from './calls.ts';
import { type Effect, type Launch, send } from './effects.ts';
import { Homeless } from './homeless.ts';
import { rejectionOf, type Rejection } from './rejection.ts';
import { Executors } from './executors.ts';
import { executorId, operationsOf } from './launch.ts';
import { Launches, type LaunchesOptions } from './launches.ts';
import { type Named, Reconciliation, batches } from './reconciliation.ts';
import type { AgentTotal } from './leftovers.ts';
import { Machines } from './machines.ts';
import { Offers, type OffersOptions } from './offers.ts';
import { Place } from './places.ts';
import { Quotas } from './quotas.ts';
import { isForRole, wantOf } from './resources.ts';
import { sift } from './revocable.ts';
import { Roster } from './roster.ts';
import { Seats, type SeatsOptions } from './seats.ts';
import { TaskLife } from './task-life.ts';
import { type Task, TaskTable, isSent } from './tasks.ts';
import { makerOf } from './volumes.ts';

export interface StateOptions extends OffersOptions, SeatsOptions, LaunchesOptions {
  /** Milliseconds before a machine is away that its node gets no more pods. */
  maintenanceLead: number;
  /** The Node that an agent of that id has in the apiserver. */
  nodeOf: (agentId: string) => string | undefined;
  /** Pods that a node may have. */
  maxPods: number;
  /** Of the class `revocable`: only offers with such resources are of use. */
  isRevocable: boolean;
  /** Milliseconds after which a launch, or a KILL, without an answer is asked about. */
  launchTimeout: number;
}

/**
 * All bookkeeping of the framework: agents, tasks, seats, what is wanted. Synchronous and without I/O; every
 * method answers what is to be done because of it. `now` is in milliseconds.
 */
export class State {
  readonly tasks = new TaskTable();
  readonly seats: Seats;
  readonly machines: Machines;
  readonly executors: Executors;
  readonly #quotas = new Quotas();
  /** Empty while we have none: then nothing is launched. */
  frameworkId = '';
  readonly #roster: Roster;
  readonly #offers: Offers;
  readonly #launches: Launches;
  readonly #life: TaskLife;
  readonly #homeless = new Homeless();
  readonly #reconciliation = new Reconciliation();
  readonly #options: StateOptions;
  #calls = new Calls('');
  #waiting: readonly Pod[] = [];

  constructor(options: StateOptions, log: Logger) {
    this.#options = options;
    const { cpus, mem } = options.executor;
    const scalars = new Map([['cpus', cpus] as const, ['mem', mem] as const].filter(([, n]) => n > 0));
    this.#roster = new Roster({
      overhead: { ...wantOf([]), scalars },
      lead: options.maintenanceLead,
      quotas: this.#quotas,
      isRevocable: options.isRevocable,
      maxPods: options.maxPods,
      nodeOf: options.nodeOf,
    });
    this.seats = new Seats(options, this.tasks);
    const { volumes, cluster } = options;
    const isOwned = (id: string) => volumes.has(id) || this.tasks.get(makerOf(cluster, id) ?? '') !== undefined;
    this.#offers = new Offers(options, this.#roster, isOwned, log);
    this.#launches = new Launches(options, this.#roster, this.#offers, this.tasks);
    this.#life = new TaskLife({
      tasks: this.tasks,
      roster: this.#roster,
      homeless: this.#homeless,
      reconciliation: this.#reconciliation,
      calls: () => this.#calls,
      log,
    });
    this.machines = new Machines(this.#roster);
    this.executors = new Executors(options.executor, this.#roster, this.tasks);
  }

  /** As pods without a role of their own see them. */
  get nodes(): readonly Place[] {
    return this.#roster.places(this.#options.roles[0]!);
  }

  nodesFor(pod: Pod): readonly Place[] {
    const { roles, roleOf } = this.#options;
    const role = roleOf(pod);
    if (roles.includes(role)) return this.#roster.places(role);
    const why = `node(s) offer nothing to the Mesos role "${role}" of namespace ${pod.metadata.namespace}, which is not in --mesos-roles`;
    return this.#roster.agents.map((agent) => new Place(agent, role, why));
  }

  get agents(): readonly Agent[] {
    return this.#roster.agents;
  }

  /** Pods that wait for a place. */
  get waiting(): readonly Pod[] {
    return this.#waiting;
  }

  /** What an operator allows our roles, and what they have. Answers whether that is news. */
  limited(configs: readonly QuotaConfig[], held: readonly Role[]): boolean {
    const isNews = this.#quotas.update(this.#options.roles, configs, held);
    if (isNews) for (const agent of this.#roster.agents) agent.refresh();
    return isNews;
  }

  agentOfNode(node: string): Agent | undefined {
    return this.#roster.ofNode(node);
  }

  agent(id: string): Agent | undefined {
    return this.#roster.agent(id);
  }

  // --- the subscription ---------------------------------------------------------------------------------------------

  subscribed(frameworkId: string, now: number, masterVersion?: string): Effect[] {
    this.frameworkId = frameworkId;
    this.#calls = new Calls(frameworkId);
    this.executors.subscribed(frameworkId, now);
    this.#offers.subscribed(this.#calls, masterVersion);
    this.#life.subscribed();
    return this.#reconcile(this.#reconciliation.start([...this.tasks.all()].filter(isSent), now));
  }

  /** The master takes no offer constraints. */
  cannotNarrow(): void {
    this.#offers.cannotNarrow();
  }

  /** The stream broke: every offer is void, and what was not sent goes back. */
  disconnected(now: number): Effect[] {
    this.#reconciliation.stop();
    return this.#roster.agents.flatMap((agent) => {
      this.#offers.void(agent);
      agent.inverseOffers.clear();
      return agent
        .takeReserved()
        .flatMap((task) => this.#life.giveUp(task, 'the connection to the Mesos master was lost', now));
    });
  }

  // --- offers -------------------------------------------------------------------------------------------------------

  offered(offers: readonly Offer[], now: number): Effect[] {
    const [useful, useless] = sift(offers, this.#options.isRevocable);
    const effects = useless.length > 0 ? send(this.#calls.decline(useless, this.#options.refuseWaiting)) : [];
    for (const offer of useful) {
      const agent = this.learnAgent(factsOf(offer));
      agent.reachable = true;
      this.machines.offered(agent, offer.unavailability, now);
      this.executors.offered(agent, offer, now);
      effects.push(...this.#offers.came(offer, agent, now));
    }
    effects.push(...send(...this.executors.ask(this.#calls, now)));
    this.#house(now);
    return effects;
  }

  /** All that agents have: where there is something of ours that nobody owns, offers are asked for, to let go of it. */
  audit(agents: readonly AgentTotal[], now: number): Effect[] {
    this.#offers.audit(agents);
    return this.#ask(now);
  }

  rescinded(offerId: string, now: number): Effect[] {
    const tasks = this.#offers.withdrawn(offerId);
    return tasks.flatMap((task) => this.#life.giveUp(task, 'the Mesos master withdrew the offer', now));
  }

  /** Mesos may have the machine of the node. A drain ends on the agent only when our executor has gone, too. */
  vacated(node: string): Effect[] {
    const ids = this.machines.vacated(node);
    const agent = this.#roster.ofNode(node);
    const { executor, refuseIdle } = this.#options;
    return send(
      ids.length > 0 ? this.#calls.acceptInverse(ids, refuseIdle) : undefined,
      agent?.isDraining && agent.executor ? this.#calls.shutdown(agent.facts.id, executorId(executor)) : undefined,
    );
  }

  // --- agents -------------------------------------------------------------------------------------------------------

  /** A new agent, or news of a known one. */
  learnAgent(facts: AgentFacts): Agent {
    const { roles } = this.#options;
    const total = facts.total?.filter((resource) => roles.some((role) => isForRole(resource, role)));
    const isNew = !this.#roster.agent(facts.id);
    const agent = this.#roster.learn({ ...facts, total });
    // Launches from before a restart, whose pods need not be bound yet, count for whoever looks for a place.
    if (isNew) for (const { pod } of this.tasks.onAgent(facts.id)) if (pod) agent.addPod(pod);
    return agent;
  }

  /** Cut off; it may come back, and with it what runs there. */
  agentLost(agentId: string, now: number): void {
    this.#roster.agent(agentId)?.lost(now);
  }

  /** It will not come back under this id; what was bound there is the shell's to decide. */
  agentRemoved(agentId: string, now: number): Effect[] {
    const agent = this.#roster.agent(agentId);
    if (!agent) return [];
    this.#offers.void(agent);
    const effects = agent.takeReserved().flatMap((task) => this.#life.giveUp(task, 'its Mesos agent is gone', now));
    this.#roster.remove(agent);
    return effects;
  }

  // --- pods and seats -----------------------------------------------------------------------------------------------

  /** A launch under way; a pod that is bound has none. */
  seatOf(pod: Pod): Seat | undefined {
    const task = this.tasks.ofPod(pod.metadata.uid!);
    return task && task.stage !== 'bound' && !task.cancelled ? seatFor(task) : undefined;
  }

  want(pods: readonly Pod[], now: number): Effect[] {
    this.#waiting = pods;
    return this.#ask(now);
  }

  reserve(pod: Pod, node: string, volumes?: ClaimedVolumes): Seat | undefined {
    const agent = this.#roster.ofNode(node);
    const task = agent && !this.tasks.ofPod(pod.metadata.uid!) ? this.#seat(pod, agent, false, volumes) : undefined;
    return task && seatFor(task);
  }

  /** A seat nobody wants after all. */
  release(uid: string, now: number): Effect[] {
    const task = this.tasks.ofPod(uid);
    return task?.stage === 'reserved' ? this.#unseat(task, 'the place was given back', now) : [];
  }

  /** Why a pod that was bound by hand cannot run on its node. */
  rejectionOf(pod: Pod, agent: Agent): Rejection | undefined {
    return isMirrorPod(pod) ? undefined : rejectionOf(pod, agent, this.#options.needs);
  }

  /** A bound pod without a task wants one on its node. */
  addHomeless(pod: Pod, now: number): Effect[] {
    if (this.tasks.ofPod(pod.metadata.uid!) || isMirrorPod(pod)) return [];
    this.#homeless.add(pod, now);
    this.#house(now);
    return this.#ask(now);
  }

  /** The pod is gone from the apiserver: it needs no task. */
  podGone(uid: string, now: number): Effect[] {
    this.#homeless.delete(uid);
    const task = this.tasks.ofPod(uid);
    if (!task) return [];
    task.cancelled = true;
    if (task.stage === 'reserved') return this.#unseat(task, 'the pod was deleted', now);
    return isSent(task) ? [this.#life.kill(Object.assign(task, { askedAt: now }))] : [];
  }

  /** The pod has ended by itself: it wants no further task; the one it has is about to end too. */
  podEnded(uid: string): void {
    this.#homeless.delete(uid);
  }

  // --- launching ----------------------------------------------------------------------------------------------------

  /** Every agent with reserved seats: its offers and its seats leave together. */
  takeLaunches(now: number): Launch[] {
    return this.#launches.take(now);
  }

  /** The record is written: now the ACCEPT, or a DECLINE if meanwhile nobody is left to launch. */
  recorded({ role, agent, offerIds, tasks }: Launch, now: number): Effect[] {
    const cancelled = tasks.filter((task) => task.cancelled);
    const effects = cancelled.flatMap((task) => this.#life.giveUp(task, 'the pod was deleted', now));
    const leaving = tasks.filter((task) => !task.cancelled);
    if (tasks.some((task) => task.carriesExecutor)) agent.starting = undefined;
    agent.refresh();
    if (leaving.length === 0) return [...effects, ...send(this.#calls.decline(offerIds, 0)), ...this.#left(role, now)];
    for (const task of leaving) Object.assign(task, { stage: 'launching', askedAt: now } satisfies Partial<Task>);
    // What is left over may be needed by the next pod of a burst; once none comes, SUPPRESS leaves it to others.
    return [
      ...effects,
      ...send(this.#calls.accept(offerIds, operationsOf(leaving, agent), 0)),
      ...this.#left(role, now),
    ];
  }

  /** The record could not be written: nothing was sent. */
  notRecorded({ role, agent, offerIds, tasks }: Launch, why: string, now: number): Effect[] {
    if (tasks.some((task) => task.carriesExecutor)) agent.executor = undefined;
    const effects = tasks.flatMap((task) => this.#life.giveUp(task, why, now));
    return [...effects, ...send(this.#calls.decline(offerIds, 0)), ...this.#left(role, now)];
  }

  /** What the offers of a launch had more than it took may be asked for. */
  #left(role: string, now: number): Effect[] {
    return this.#offers.left(role) ? this.#ask(now) : [];
  }

  bound(task: Task, now: number): Effect[] {
    return this.#life.bound(task, now);
  }

  /** The task has nothing to carry. */
  bindFailed(task: Task, why: string): Effect[] {
    return this.#life.bindFailed(task, why);
  }

  // --- what Mesos says ----------------------------------------------------------------------------------------------

  updated(status: TaskStatus, now: number): Effect[] {
    return this.#life.updated(status, now);
  }

  /** What waited for something to be written down is acknowledged now. */
  acknowledged(ack: Call | undefined): void {
    this.#life.acknowledged(ack);
  }

  /** Time passes: idle offers go back, silent launches are asked about, homeless pods try again. */
  tick(now: number): Effect[] {
    this.machines.look(now);
    this.#house(now);
    const silent = this.tasks.silent(now, this.#options.launchTimeout);
    return [
      ...this.#ask(now),
      ...this.#offers.returnUnused(now),
      ...send(...this.executors.ask(this.#calls, now)),
      ...this.#reconcile([...this.#reconciliation.due(now), ...batches(silent)]),
    ];
  }

  /** Asks the master for tasks that need not exist. */
  askFor(tasks: readonly Named[]): Effect[] {
    return this.#reconcile(batches(tasks));
  }

  /** Asks the master for every task of ours that it knows of. */
  askForAll(): Effect[] {
    return this.#reconcile([[]]);
  }

  // --- inside -------------------------------------------------------------------------------------------------------

  #seat(pod: Pod, agent: Agent, rebound: boolean, volumes?: ClaimedVolumes): Task | undefined {
    // Its executor would be of a framework that is no more.
    if (this.frameworkId === '') return undefined;
    const task = this.seats.take(pod, agent, { rebound, volumes, frameworkId: this.frameworkId });
    if (task) this.#offers.used(task.role);
    return task;
  }

  #unseat(task: Task, why: string, now: number): Effect[] {
    this.#roster.agent(task.agentId)?.giveBack(task);
    return this.#life.giveUp(task, why, now);
  }

  /** Seats for bound pods without a task, where their agent has room now. */
  #house(now: number): void {
    for (const pod of this.#homeless.due(now)) {
      const agent = this.#roster.ofNode(pod.spec.nodeName ?? '');
      const hasOffers = agent && agent.place(this.#options.roleOf(pod)).offers.size > 0;
      if (hasOffers && !this.tasks.ofPod(pod.metadata.uid!)) {
        if (this.#seat(pod, agent, true)) this.#homeless.housed(pod.metadata.uid!, now);
      }
    }
  }

  #ask(now: number): Effect[] {
    return this.#offers.ask([...this.#waiting, ...this.#homeless.asking()], now);
  }

  #reconcile(questions: readonly (readonly Named[])[]): Effect[] {
    return send(...questions.map((tasks) => this.#calls.reconcile(tasks)));
  }
}

const seatFor = ({ node, seat, volumes }: Task): Seat => ({ node, volumes, launched: seat.promise });
