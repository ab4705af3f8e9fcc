import { type Pod, isMirrorPod } from '../api/kinds/pod.ts';
import { keyOf } from '../api/meta.ts';
import { hostPortsOf } from '../api/pod-requests.ts';
import { claimNames } from '../api/volume-claims.ts';
import type { Logger } from '../lib/log.ts';
import type { Call } from '../mesos/scheduler.ts';
import type { ExecutorInfo, TaskStatus } from '../mesos/tasks.ts';
import type { Offer, OfferOperation, Resource } from '../mesos/types.ts';
import { type Needs, NotLaunched, type Seat } from '../scheduler/index.ts';
import { Agent, type AgentFacts, factsOf, volumeResource } from './agents.ts';
import type { AgentTotal } from './audit.ts';
import { Calls } from './calls.ts';
import type { Claims } from './claims.ts';
import { Demand, type DemandOptions } from './demand.ts';
import { Homeless } from './homeless.ts';
import { type ExecutorTemplate, executorId, executorInfo, hasExecutor, taskInfo } from './launch.ts';
import { type Named, Reconciliation, batches } from './reconciliation.ts';
import { type Want, nothing, wantOf, withDisk } from './resources.ts';
import { type KnownTask, type Task, TaskTable, createTask, isSent, isStarted, isTerminalState } from './tasks.ts';
import { type VolumeWant, makerOf, releaseOf } from './volumes.ts';
import { isWhereabouts } from './whereabouts.ts';

/** What the shell must do, in this order. */
export type Effect =
  | { do: 'call'; call: Call }
  /** Bind the pod (one that is bound gets its new task id written), tell `bound` or `bindFailed`, then send `ack`. */
  | { do: 'bind'; task: Task; ack: Call | undefined }
  /** The task of a bound pod is over: see what became of the pod, then send `ack`. */
  | { do: 'ended'; task: Task; status: TaskStatus; ack: Call | undefined }
  /** Nothing depends on this launch record any more. */
  | { do: 'erase'; record: string };

/** Tasks of one agent that go out in one ACCEPT. */
export interface Launch {
  record: string;
  agent: Agent;
  offerIds: string[];
  tasks: Task[];
}

export interface StateOptions extends DemandOptions {
  role: string;
  executor: ExecutorTemplate;
  /** What a pod is accounted with, but for its volumes. */
  needs: (pod: Pod) => Needs;
  volumes: Pick<Claims, 'wantedBy' | 'has'>;
  /** Marks volumes and reservations as ours. */
  cluster: string;
  /** Seconds the master hides a declined offer while pods wait, and while none do. */
  refuseWaiting: number;
  refuseIdle: number;
  /** Milliseconds after which a launch without an answer is asked about. */
  launchTimeout: number;
}

/**
 * All bookkeeping of the framework: agents with their offers, tasks, what is wanted. Synchronous and without I/O; every
 * method answers what is to be done because of it. `now` is in milliseconds.
 */
export class State {
  readonly tasks = new TaskTable();
  frameworkId = '';
  readonly #agents = new Map<string, Agent>();
  readonly #byNode = new Map<string, Agent>();
  #nodes: readonly Agent[] = [];
  readonly #offers = new Map<string, Agent>();
  readonly #homeless = new Homeless();
  readonly #demand: Demand;
  readonly #reconciliation = new Reconciliation();
  readonly #options: StateOptions;
  readonly #overhead: Want;
  readonly #log: Logger;
  #calls = new Calls('', '');
  #waiting: readonly Pod[] = [];
  #serial = 0;
  /** Ids of agents that keep for us what nobody owns. */
  #leftovers = new Set<string>();

  constructor(options: StateOptions, log: Logger) {
    this.#options = options;
    this.#log = log;
    this.#demand = new Demand(options);
    const { cpus, mem } = options.executor;
    this.#overhead = {
      ...wantOf([]),
      scalars: new Map([['cpus', cpus] as const, ['mem', mem] as const].filter(([, n]) => n > 0)),
    };
  }

  get nodes(): readonly Agent[] {
    return this.#nodes;
  }

  /** Pods that wait for a place. */
  get waiting(): readonly Pod[] {
    return this.#waiting;
  }

  agentOfNode(node: string): Agent | undefined {
    return this.#byNode.get(node);
  }

  agent(id: string): Agent | undefined {
    return this.#agents.get(id);
  }

  // --- the subscription ---------------------------------------------------------------------------------------------

  subscribed(frameworkId: string, now: number): Effect[] {
    this.frameworkId = frameworkId;
    this.#calls = new Calls(frameworkId, this.#options.role);
    this.#demand.subscribed();
    return this.#reconcile(this.#reconciliation.start([...this.tasks.all()].filter(isSent), now));
  }

  /** The stream broke: every offer is void, and what was not sent goes back. */
  disconnected(now: number): Effect[] {
    this.#reconciliation.stop();
    return this.#nodes.flatMap((agent) => {
      this.#clear(agent);
      return agent.reserved
        .splice(0)
        .flatMap((task) => this.#giveUp(task, 'the connection to the Mesos master was lost', now));
    });
  }

  // --- offers -------------------------------------------------------------------------------------------------------

  offered(offers: readonly Offer[], now: number): Effect[] {
    const effects: Effect[] = [];
    for (const offer of offers) {
      const agent = this.learnAgent(factsOf(offer));
      agent.reachable = true;
      // Without the executor there, and nothing of ours on its way to it, the next launch has to bring one.
      if (!hasExecutor(offer, this.#options.executor) && this.tasks.onAgent(agent.facts.id).size === 0)
        agent.executor = undefined;
      const release = this.#releaseOf(offer.resources ?? []);
      if (release.length > 0) {
        this.#leftovers.delete(agent.facts.id);
        effects.push({ do: 'call', call: this.#calls.accept([offer.id.value], release, 0) });
        continue;
      }
      this.#offers.set(offer.id.value, agent);
      agent.addOffer(offer, now);
    }
    this.#house(now);
    return effects;
  }

  /** All that agents have: where there is something of ours that nobody owns, offers are asked for, to let go of it. */
  audit(agents: readonly AgentTotal[], now: number): Effect[] {
    this.#leftovers = new Set(agents.filter(({ total }) => this.#releaseOf(total).length > 0).map(({ id }) => id));
    return this.#ask(now);
  }

  #releaseOf(resources: readonly Resource[]): OfferOperation[] {
    const { volumes, cluster } = this.#options;
    const isOwned = (id: string) => volumes.has(id) || this.tasks.get(makerOf(cluster, id) ?? '') !== undefined;
    return releaseOf(resources, cluster, isOwned);
  }

  rescinded(offerId: string, now: number): Effect[] {
    const agent = this.#offers.get(offerId);
    this.#offers.delete(offerId);
    const lost = agent?.dropOffer(offerId) ?? [];
    return lost.flatMap((task) => this.#giveUp(task, 'the Mesos master withdrew the offer', now));
  }

  // --- agents -------------------------------------------------------------------------------------------------------

  /** A new agent, or news of a known one. */
  learnAgent(facts: AgentFacts): Agent {
    const known = this.#agents.get(facts.id);
    if (known) {
      known.learn(facts);
      return known;
    }
    const agent = new Agent(this.#nodeName(facts), facts, this.#overhead);
    const before = this.#byNode.get(agent.name);
    if (before) agent.inherit(before);
    this.#agents.set(facts.id, agent);
    this.#byNode.set(agent.name, agent);
    this.#nodes = [...this.#byNode.values()];
    return agent;
  }

  /** Cut off; it may come back, and with it what runs there. */
  agentLost(agentId: string, now: number): void {
    this.#agents.get(agentId)?.lost(now);
  }

  /** It will not come back under this id; what was bound there is the shell's to decide. */
  agentRemoved(agentId: string, now: number): Effect[] {
    const agent = this.#agents.get(agentId);
    if (!agent) return [];
    this.#clear(agent);
    const effects = agent.reserved.splice(0).flatMap((task) => this.#giveUp(task, 'its Mesos agent is gone', now));
    this.#agents.delete(agentId);
    if (this.#byNode.get(agent.name) === agent) this.#byNode.delete(agent.name);
    this.#nodes = [...this.#byNode.values()];
    return effects;
  }

  // --- pods and seats -----------------------------------------------------------------------------------------------

  /** With volumes: those that are made as such, others as disk. */
  needs(pod: Pod): Needs {
    const needs = this.#options.needs(pod);
    if (claimNames(pod).length === 0) return needs;
    const volumes = this.#options.volumes.wantedBy(pod, this.tasks.nextId(pod));
    if (volumes.length === 0) return needs;
    const isThere = (volume: VolumeWant) => volume.isMade || this.#isHeld(volume);
    const held = volumes.filter(isThere).map(({ id }) => ({ resource: volumeResource(id), amount: 1 }));
    const size = volumes.filter((volume) => !isThere(volume)).reduce((sum, volume) => sum + volume.size, 0);
    return [...withDisk(needs, size, this.#options.role), ...held];
  }

  /** A launch under way; a pod that is bound has none. */
  seatOf(pod: Pod): Seat | undefined {
    const task = this.tasks.ofPod(pod.metadata.uid!);
    return task && task.stage !== 'bound' && !task.cancelled
      ? { node: task.node, launched: task.seat.promise }
      : undefined;
  }

  want(pods: readonly Pod[], now: number): Effect[] {
    this.#waiting = pods;
    return this.#ask(now);
  }

  reserve(pod: Pod, node: string): Seat | undefined {
    const agent = this.#byNode.get(node);
    const task = agent && !this.tasks.ofPod(pod.metadata.uid!) ? this.#seat(pod, agent, false) : undefined;
    return task && { node, launched: task.seat.promise };
  }

  /** A seat nobody wants after all. */
  release(uid: string, now: number): Effect[] {
    const task = this.tasks.ofPod(uid);
    if (task?.stage !== 'reserved') return [];
    this.#agents.get(task.agentId)?.giveBack(task);
    return this.#giveUp(task, 'the place was given back', now);
  }

  /** A bound pod without a task wants one on its node. */
  addHomeless(pod: Pod, now: number): Effect[] {
    if (this.tasks.ofPod(pod.metadata.uid!) || isMirrorPod(pod)) return [];
    this.#homeless.add(pod, now);
    this.#house(now);
    return this.#ask(now);
  }

  /** The pod is gone from the apiserver, or has ended: it needs no task. */
  podGone(uid: string, now: number): Effect[] {
    this.#homeless.delete(uid);
    const task = this.tasks.ofPod(uid);
    if (!task) return [];
    task.cancelled = true;
    if (task.stage === 'reserved') this.#agents.get(task.agentId)?.giveBack(task);
    if (task.stage === 'reserved') return this.#giveUp(task, 'the pod was deleted', now);
    return isSent(task) ? [this.#kill(task)] : [];
  }

  /** The pod has ended by itself: it wants no further task; the one it has is about to end too. */
  podEnded(uid: string): void {
    this.#homeless.delete(uid);
  }

  /** An executor of ours that already runs, as its agent has it. */
  executorRuns(agentId: string, info: ExecutorInfo): void {
    const agent = this.#agents.get(agentId);
    if (!agent || info.executor_id.value !== executorId(this.#options.executor)) return;
    agent.executor = info;
    agent.refresh();
  }

  /** A task known from before a restart. */
  adopt(known: KnownTask): void {
    const task = createTask(known, {
      want: wantOf([], [], known.pod ? this.#options.volumes.wantedBy(known.pod, known.id) : []),
      ...nothing,
      carriesExecutor: false,
    });
    if (task.stage === 'bound') task.seat.resolve();
    this.tasks.add(task);
  }

  // --- launching ----------------------------------------------------------------------------------------------------

  /** Every agent with reserved seats: its offers and its seats leave together. */
  takeLaunches(now: number): Launch[] {
    return this.#nodes
      .filter(({ reserved }) => reserved.length > 0)
      .map((agent) => {
        const record = `launch-${now.toString(36)}-${(this.#serial++).toString(36)}`;
        const tasks = agent.reserved.splice(0);
        for (const task of tasks) task.stage = 'recording';
        this.tasks.record(tasks, record);
        return { record, agent, offerIds: this.#clear(agent), tasks };
      });
  }

  /** The record is written: now the ACCEPT, or a DECLINE if meanwhile nobody is left to launch. */
  recorded({ agent, offerIds, tasks }: Launch, now: number): Effect[] {
    const cancelled = tasks.filter((task) => task.cancelled);
    const effects = cancelled.flatMap((task) => this.#giveUp(task, 'the pod was deleted', now));
    const leaving = tasks.filter((task) => !task.cancelled);
    if (leaving.length === 0) return [...effects, { do: 'call', call: this.#calls.decline(offerIds, 0) }];
    for (const task of leaving) Object.assign(task, { stage: 'launching', askedAt: now } satisfies Partial<Task>);
    const task_infos = leaving.map((task) =>
      taskInfo(task.pod!, task.id, agent.facts.id, task.resources, agent.executor!),
    );
    const launch: OfferOperation = { type: 'LAUNCH', launch: { task_infos } };
    const operations = [...leaving.flatMap((task) => task.operations), launch];
    // What is left over may be needed by the next pod of a burst; once none comes, SUPPRESS leaves it to others.
    return [...effects, { do: 'call', call: this.#calls.accept(offerIds, operations, 0) }];
  }

  /** The record could not be written: nothing was sent. */
  notRecorded({ agent, offerIds, tasks }: Launch, why: string, now: number): Effect[] {
    if (tasks.some((task) => task.carriesExecutor)) agent.executor = undefined;
    const effects = tasks.flatMap((task) => this.#giveUp(task, why, now));
    return [...effects, { do: 'call', call: this.#calls.decline(offerIds, 0) }];
  }

  bound(task: Task, now: number): Effect[] {
    task.stage = 'bound';
    task.seat.resolve();
    if (task.rebound) this.#homeless.housed(task.uid, now);
    return [...(task.cancelled ? [this.#kill(task)] : []), ...this.#settled(task)];
  }

  /** The pod is gone or belongs elsewhere: the task has nothing to carry. */
  bindFailed(task: Task, why: string): Effect[] {
    task.cancelled = true;
    task.seat.reject(new NotLaunched(why));
    return [this.#kill(task), ...this.#settled(task)];
  }

  // --- what Mesos says ----------------------------------------------------------------------------------------------

  updated(status: TaskStatus, now: number): Effect[] {
    const ack = this.#calls.acknowledge(status);
    const acked: Effect[] = ack ? [{ do: 'call', call: ack }] : [];
    this.#reconciliation.answered(status.task_id.value);
    const task = this.tasks.get(status.task_id.value);
    if (isWhereabouts(status.task_id.value)) return acked;
    if (!task) return [...this.#killUnknown(status), ...acked];
    if (isTerminalState(status.state)) return this.#over(task, status, ack, now);
    if (!isStarted(status.state)) return acked;
    this.#agents.get(task.agentId)?.found();
    if (task.cancelled) return [this.#kill(task), ...acked];
    if (task.stage !== 'launching') return acked;
    task.stage = 'binding';
    return [{ do: 'bind', task, ack }];
  }

  executorLost(agentId: string): void {
    const agent = this.#agents.get(agentId);
    if (!agent) return;
    agent.executor = undefined;
    agent.refresh();
  }

  /** Time passes: idle offers go back, silent launches are asked about, homeless pods try again. */
  tick(now: number): Effect[] {
    this.#house(now);
    const silent: Task[] = [];
    for (const task of this.tasks.all())
      if (task.stage === 'launching' && now - task.askedAt > this.#options.launchTimeout)
        silent.push(Object.assign(task, { askedAt: now }));
    return [
      ...this.#ask(now),
      ...this.#returnUnused(now),
      ...this.#reconcile([...this.#reconciliation.due(now), ...(silent.length ? [silent] : [])]),
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

  #seat(pod: Pod, agent: Agent, rebound: boolean): Task | undefined {
    const id = this.tasks.nextId(pod);
    const volumes = this.#options.volumes.wantedBy(pod, id);
    if (volumes.some((volume) => this.#isHeld(volume))) return undefined;
    const want = wantOf(this.#options.needs(pod), hostPortsOf(pod), volumes);
    const { taken, executor } = agent.take(want) ?? {};
    if (!taken) return undefined;
    if (executor) agent.executor = executorInfo(this.#options.executor, this.frameworkId, executor);
    const task = createTask(
      {
        id,
        uid: pod.metadata.uid!,
        key: keyOf(pod),
        node: agent.name,
        agentId: agent.facts.id,
        stage: 'reserved',
        record: undefined,
        pod,
        rebound,
      },
      { want, ...taken, carriesExecutor: executor !== undefined },
    );
    this.tasks.add(task);
    this.#demand.used();
    agent.reserved.push(task);
    agent.addPod(pod);
    agent.refresh();
    return task;
  }

  /** Another pod's task is about to make a volume for the same claim. */
  #isHeld({ claimUid, isMade }: VolumeWant): boolean {
    return !isMade && this.tasks.ofClaim(claimUid) !== undefined;
  }

  /** Nothing runs for this seat: a pod that is not bound may be placed anew, one that is wants another seat here. */
  #giveUp(task: Task, why: string, now: number): Effect[] {
    this.#forget(task);
    task.seat.reject(new NotLaunched(why));
    if (task.rebound && task.pod && !task.cancelled) {
      this.#homeless.housed(task.uid, now);
      this.#homeless.add(task.pod, now);
    }
    return this.#settled(task);
  }

  #forget(task: Task): void {
    this.tasks.delete(task);
    this.#reconciliation.answered(task.id);
    if (!task.rebound && task.stage !== 'bound') this.#agents.get(task.agentId)?.removePod(task.uid);
  }

  #settled(task: Task): Effect[] {
    const record = this.tasks.settled(task);
    return record === undefined ? [] : [{ do: 'erase', record }];
  }

  #over(task: Task, status: TaskStatus, ack: Call | undefined, now: number): Effect[] {
    if (task.stage === 'bound' || task.stage === 'binding') {
      this.#forget(task);
      task.seat.resolve();
      return [...this.#settled(task), { do: 'ended', task, status, ack }];
    }
    const { state, reason, message } = status;
    this.#log.info({ task: task.id, pod: task.key, state, reason, message }, 'launch did not happen');
    const why = `Mesos says ${state}${reason ? ` (${reason})` : ''}${message ? `: ${message}` : ''}`;
    return [...this.#giveUp(task, why, now), ...(ack ? [{ do: 'call' as const, call: ack }] : [])];
  }

  #killUnknown({ task_id, agent_id, state }: TaskStatus): Effect[] {
    if (isTerminalState(state) || state === 'TASK_UNREACHABLE') return [];
    this.#log.info({ task: task_id.value, state }, 'killing a task that carries no pod of ours');
    return [this.#kill({ id: task_id.value, agentId: agent_id?.value ?? '' })];
  }

  /** Seats for bound pods without a task, where their agent has room now. */
  #house(now: number): void {
    for (const pod of this.#homeless.due(now)) {
      const agent = this.#byNode.get(pod.spec.nodeName ?? '');
      if (agent && agent.offers.size > 0 && !this.tasks.ofPod(pod.metadata.uid!)) {
        if (this.#seat(pod, agent, true)) this.#homeless.housed(pod.metadata.uid!, now);
      }
    }
  }

  /** REVIVE or SUPPRESS as the demand says. */
  #ask(now: number): Effect[] {
    if (!this.frameworkId) return [];
    this.#demand.wants(
      [...this.#waiting.map((pod) => pod.metadata.uid!), ...this.#homeless.asking(), ...this.#leftovers],
      now,
    );
    const wish = this.#demand.wish(now);
    if (wish === 'revive') return [{ do: 'call', call: this.#calls.revive() }];
    if (wish === 'suppress')
      return [...this.#return(() => true, this.#options.refuseIdle), { do: 'call', call: this.#calls.suppress() }];
    return [];
  }

  /** Offers that no waiting pod fits go back soon, and at once where nothing waits. */
  #returnUnused(now: number): Effect[] {
    const { linger, refuseIdle, refuseWaiting } = this.#options;
    if (this.#demand.waiting > 0) return this.#return((agent) => now - agent.heldSince >= linger, refuseWaiting);
    return this.#demand.suppressed ? this.#return(() => true, refuseIdle) : [];
  }

  /** Offers in hand that no seat needs go back to the others. */
  #return(which: (agent: Agent) => boolean, refuseSeconds: number): Effect[] {
    const ids = this.#nodes
      .filter((agent) => agent.offers.size > 0 && agent.reserved.length === 0 && which(agent))
      .flatMap((agent) => this.#clear(agent));
    return ids.length > 0 ? [{ do: 'call', call: this.#calls.decline(ids, refuseSeconds) }] : [];
  }

  #clear(agent: Agent): string[] {
    const ids = agent.clearOffers();
    for (const id of ids) this.#offers.delete(id);
    return ids;
  }

  #kill(task: Named): Effect {
    return { do: 'call', call: this.#calls.kill(task) };
  }

  #reconcile(questions: readonly (readonly Named[])[]): Effect[] {
    return questions.map((tasks) => ({ do: 'call', call: this.#calls.reconcile(tasks) }));
  }

  /** The host's name; a second living agent on one host is told apart by its port. */
  #nodeName({ hostname, port }: AgentFacts): string {
    const plain = hostname.toLowerCase();
    const holder = this.#byNode.get(plain);
    return holder?.reachable && holder.facts.port !== port ? `${plain}-${port}` : plain;
  }
}
