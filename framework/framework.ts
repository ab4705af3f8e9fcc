import { annotations } from '../api/kinds/names.ts';
import { type Pod, isTerminal } from '../api/kinds/pod.ts';
import type { Node } from '../api/kinds/node.ts';
import { type Stored, keyOf } from '../api/meta.ts';
import type { Change, Informer } from '../client/informer.ts';
import type { MesosError } from '../mesos/errors.ts';
import { infoIn } from '../mesos/executor-info.ts';
import type { Offer } from '../mesos/offers.ts';
import type { QuotaConfig, Schedule } from '../mesos/master.ts';
import type { Call, Event, EventMessage, EventSubscribed } from '../mesos/scheduler.ts';
import { type Session, schedulerApi } from '../mesos/session.ts';
import type { TaskStatus } from '../mesos/tasks.ts';
import type { FrameworkInfo, Role } from '../mesos/types.ts';
import type { ClaimedVolumes, Cluster, Needs, NodeView, Seat } from '../scheduler/index.ts';
import type { Agent } from './agents.ts';
import { EffectRunner, type EffectRunnerParts } from './effect-runner.ts';
import { goneWith } from './fates.ts';
import type { Inventory } from './inventory.ts';
import type { AgentTotal } from './leftovers.ts';
import { Superseded, tellEnd, tellLoss } from './lost-subscription.ts';
import { isSent } from './tasks.ts';
import { goneAgentOf, isOfDrain, Whereabouts } from './whereabouts.ts';

export interface FrameworkParts extends EffectRunnerParts {
  pods: Informer<Pod>;
  nodes: Informer<Node>;
  /** The node, or where the pod belongs, is of our class. */
  isOurs: (node: Node | undefined, pod?: Pod) => boolean;
  inventory: Inventory;
  info: FrameworkInfo;
}

type StoredPod = Pod & Stored;

/** The shell around State: Mesos' events and the apiserver's go in, what State answers is carried out. */
export class Framework implements Cluster {
  readonly #parts: FrameworkParts;
  readonly #listeners = new Set<() => void>();
  readonly #runner: EffectRunner;
  readonly #whereabouts = new Whereabouts();
  #subscribed = Promise.withResolvers<void>();
  #fatal: Error | undefined;
  #storedId = '';

  constructor(parts: FrameworkParts) {
    this.#parts = parts;
    this.#runner = new EffectRunner(parts, () => this.#changed());
  }

  // --- the Cluster port ---------------------------------------------------------------------------------------------

  nodes(pod?: Pod): readonly NodeView[] {
    return pod ? this.#parts.state.nodesFor(pod) : this.#parts.state.nodes;
  }

  needs(pod: Pod): Needs {
    return this.#parts.state.seats.needs(pod);
  }

  seatOf(pod: Pod): Seat | undefined {
    return this.#parts.state.seatOf(pod);
  }

  want(pods: readonly Pod[]): void {
    this.#runner.run(this.#parts.state.want(pods, this.#parts.now()));
  }

  reserve(pod: Pod, node: string, volumes?: ClaimedVolumes): Seat | undefined {
    const seat = this.#parts.state.reserve(pod, node, volumes);
    if (seat) this.#runner.launchSoon();
    return seat;
  }

  release(pod: Pod): void {
    this.#runner.run(this.#parts.state.release(pod.metadata.uid!, this.#parts.now()));
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  // --- for whoever operates it ---------------------------------------------------------------------------------------

  /** Asks the master about the tasks we know of, or about all it knows of us. Answers how many were asked about. */
  reconcile(kind: 'explicit' | 'implicit'): number {
    const { state } = this.#parts;
    const sent = kind === 'explicit' ? [...state.tasks.all()].filter(isSent) : [];
    this.#runner.run(kind === 'explicit' ? state.askFor(sent) : state.askForAll());
    return sent.length;
  }

  // --- life ---------------------------------------------------------------------------------------------------------

  /** Takes up what was under way; call before subscribing, with the informers in sync. */
  async recover(): Promise<void> {
    const { records, state, pods, nodes, isOurs, signal } = this.#parts;
    this.#storedId = await records.frameworkId(signal);
    this.#runner.run(state.seats.recovered(await records.underWay(signal), (key) => pods.get(key)));
    for (const pod of pods.list()) if (isOurs(nodes.get(pod.spec.nodeName ?? ''), pod)) this.#adoptBound(pod);
    pods.on((change) => this.#podChanged(change));
    nodes.on(({ type, object }) => this.#nodeChanged(object.metadata.name, type === 'deleted' ? undefined : object));
    const ticking = setInterval(() => this.#tick(), 250);
    signal.addEventListener('abort', () => {
      clearInterval(ticking);
    });
  }

  /** Resolves at the first subscription. */
  get subscribed(): Promise<void> {
    return this.#subscribed.promise;
  }

  readonly subscriber = {
    protocol: schedulerApi,
    subscribe: (): Call => {
      const { info } = this.#parts;
      const id = this.#storedId ? { value: this.#storedId } : undefined;
      const framework_info = id ? { ...info, id } : info;
      return { type: 'SUBSCRIBE', ...(id ? { framework_id: id } : {}), subscribe: { framework_info } };
    },
    up: (session: Session<Call, Event>): void => {
      this.#runner.up(session);
    },
    event: (event: Event): void => {
      this.#parts.figures.event(event);
      this.#event(event);
    },
    down: (reason: MesosError): void => {
      const { figures, state, log, now } = this.#parts;
      this.#runner.down();
      figures.disconnected();
      this.#runner.run(state.disconnected(now()));
      if (this.#fatal) throw this.#fatal;
      tellLoss(reason, log);
    },
  };

  // --- events of Mesos ----------------------------------------------------------------------------------------------

  #event(event: Event): void {
    const { state, now } = this.#parts;
    switch (event.type) {
      case 'SUBSCRIBED':
        return this.#onSubscribed(event.subscribed);
      case 'OFFERS':
        return this.#onOffers(event.offers.offers ?? []);
      case 'RESCIND':
        return this.#runner.run(state.rescinded(event.rescind.offer_id.value, now()));
      case 'INVERSE_OFFERS':
        return this.#looksAgain(state.machines.inverseOffered(event.inverse_offers.inverse_offers ?? [], now()));
      case 'RESCIND_INVERSE_OFFER':
        return state.machines.inverseRescinded(event.rescind_inverse_offer.inverse_offer_id.value);
      case 'UPDATE':
        return this.#update(event.update.status);
      case 'MESSAGE':
        return this.#told(event.message);
      case 'FAILURE':
        return this.#failure(event.failure.agent_id?.value, event.failure.executor_id !== undefined);
      case 'ERROR':
        return this.#error(event.error.message);
      default:
        return;
    }
  }

  #onSubscribed({ framework_id: { value: frameworkId }, master_info }: EventSubscribed): void {
    const { records, state, log, now, signal } = this.#parts;
    log.info({ framework: frameworkId }, 'subscribed to the Mesos master');
    const start = () => {
      this.#runner.run(state.subscribed(frameworkId, now(), master_info?.version));
      this.#whereabouts.soon();
      this.#subscribed.resolve();
    };
    if (this.#storedId === frameworkId) return start();
    // Nothing may be launched under an id that a restart would not find again.
    this.#storedId = frameworkId;
    void this.#runner
      .persist('keep the FrameworkID', () => records.keepFrameworkId(frameworkId, signal))
      .then(({ done }) => {
        if (done) start();
      });
  }

  #onOffers(offers: readonly Offer[]): void {
    const { state, inventory, now } = this.#parts;
    const ids = new Set(offers.map(({ agent_id }) => agent_id.value));
    // Where the operator API may not be read, this is the first that is heard of them.
    const unknown = [...ids].filter((id) => !state.agent(id));
    this.#runner.run(state.offered(offers, now()));
    for (const id of unknown) this.agentAppeared(state.agent(id)?.name ?? '');
    inventory.seen([...ids].map((id) => state.agent(id)?.name ?? ''));
    this.#runner.launchSoon();
    this.#changed();
  }

  #update(status: TaskStatus): void {
    const { state, inventory, log, now } = this.#parts;
    log.debug({ task: status.task_id.value, state: status.state }, 'task update');
    if (isOfDrain(status)) this.drains(status.agent_id?.value ?? '');
    this.#runner.run(state.updated(status, now()));
    const gone = goneAgentOf(status);
    if (gone) inventory.removed(gone);
  }

  /** An executor says how it was launched. */
  #told({ agent_id, data }: EventMessage): void {
    const { state, log } = this.#parts;
    try {
      state.executors.runs(agent_id.value, infoIn(data), state.frameworkId);
    } catch (err) {
      return log.warn({ err, agent: agent_id.value }, 'an executor sent what is no ExecutorInfo');
    }
    this.#looksAgain([state.agent(agent_id.value)?.name ?? '']);
  }

  #failure(agentId: string | undefined, executorOnly: boolean): void {
    if (!agentId) return;
    const { state, inventory, now } = this.#parts;
    const agent = state.agent(agentId);
    if (executorOnly) state.executors.lost(agentId);
    else {
      state.agentLost(agentId, now());
      this.#whereabouts.soon();
    }
    if (agent) inventory.seen([agent.name]);
  }

  #error(message: string): void {
    const { state, log, now } = this.#parts;
    tellEnd(message, log);
    if (message === 'Framework failed over') {
      this.#fatal = new Superseded();
    } else if (message === 'Framework has been removed') {
      // The id is dead and its tasks with it: bound pods get new tasks under a new id, which is kept in its place.
      this.#storedId = '';
      state.frameworkId = '';
      for (const { id, agentId } of [...state.tasks.all()])
        this.#runner.run(
          state.updated({ task_id: { value: id }, agent_id: { value: agentId }, state: 'TASK_GONE' }, now()),
        );
    }
  }

  // --- changes in the apiserver -------------------------------------------------------------------------------------

  #podChanged({ type, object: pod }: Change<StoredPod>): void {
    const { state, now } = this.#parts;
    const agent = state.agentOfNode(pod.spec.nodeName ?? '');
    if (type === 'deleted' || isTerminal(pod)) agent?.removePod(pod.metadata.uid);
    else agent?.addPod(pod);
    if (type === 'deleted') this.#runner.run(state.podGone(pod.metadata.uid, now()));
    else if (isTerminal(pod)) state.podEnded(pod.metadata.uid);
    else if (agent && this.#runner.isUp) this.#house(pod, agent);
    if (type === 'deleted') this.#changed();
  }

  /** A bound pod that has no task yet gets one on its node, or is refused as its kubelet would. */
  #house(pod: StoredPod, agent: Agent): void {
    const { state, now } = this.#parts;
    const rejection = state.tasks.ofPod(pod.metadata.uid) ? undefined : state.rejectionOf(pod, agent);
    if (rejection) void this.#runner.fail(pod, rejection);
    else this.#runner.run(state.addHomeless(pod, now()));
  }

  #nodeChanged(name: string, node: (Node & Stored) | undefined): void {
    const agent = this.#parts.state.agentOfNode(name);
    if (agent) agent.node = node;
    this.#changed();
  }

  /** A bound pod that names its task is known to Mesos, or was. */
  #adoptBound(pod: StoredPod): void {
    const { state } = this.#parts;
    const { [annotations.taskId]: id, [annotations.agentId]: agentId } = pod.metadata.annotations ?? {};
    if (!pod.spec.nodeName || isTerminal(pod) || !id || !agentId || state.tasks.ofPod(pod.metadata.uid)) return;
    const known = { id, agentId, uid: pod.metadata.uid, key: keyOf(pod), node: pod.spec.nodeName };
    state.seats.adopt({ ...known, stage: 'bound', record: undefined, pod, rebound: true, anyPorts: [] });
  }

  /** A node has an agent now: its pods that have no task ask for one. */
  agentAppeared(name: string): void {
    const { pods, nodes, state } = this.#parts;
    const agent = state.agentOfNode(name);
    if (!agent) return;
    agent.node = nodes.get(name);
    for (const pod of pods.by('node', name)) {
      if (isTerminal(pod)) continue;
      agent.addPod(pod);
      this.#house(pod, agent);
    }
    this.#changed();
  }

  /** Who waits may be of another role now. */
  settingsChanged(): void {
    this.#changed();
  }

  /** The maintenance schedule, as the master has it. */
  schedule(schedule: Schedule): void {
    this.#looksAgain(this.#parts.state.machines.scheduled(schedule, this.#parts.now()));
  }

  /** What an operator allows our roles, and what they have. */
  limits(configs: readonly QuotaConfig[], held: readonly Role[]): void {
    if (this.#parts.state.limited(configs, held)) this.#changed();
  }

  /** Mesos drains the agent. */
  drains(agentId: string): void {
    this.#looksAgain(this.#parts.state.machines.drains(agentId, this.#parts.now()));
  }

  /** Mesos drains none of these. */
  drained(agentIds: readonly string[]): void {
    this.#looksAgain(this.#parts.state.machines.drained(agentIds));
  }

  /** Mesos may have the node's machine. */
  vacated(node: string): void {
    this.#runner.run(this.#parts.state.vacated(node));
  }

  #looksAgain(nodes: readonly string[]): void {
    if (nodes.length === 0) return;
    this.#parts.inventory.seen(nodes);
    this.#changed();
  }

  /** What agents keep, as the master has it. */
  audit(agents: readonly AgentTotal[]): void {
    this.#runner.run(this.#parts.state.audit(agents, this.#parts.now()));
  }

  /** The agent will not come back: what was bound there ends as Failed, so that controllers replace it. */
  async agentGone(agentId: string, name: string): Promise<void> {
    const { state, pods, now } = this.#parts;
    this.#runner.run(state.agentRemoved(agentId, now()));
    if (state.agentOfNode(name)) return;
    await Promise.all(pods.by('node', name).map((pod) => this.#runner.fail(pod, goneWith(name))));
  }

  // --- inside ------------------------------------------------------------------------------------------------------

  #tick(): void {
    if (!this.#runner.isUp) return;
    const { state, now } = this.#parts;
    this.#runner.run(state.tick(now()));
    this.#runner.run(state.askFor(this.#whereabouts.due(() => this.#outOfSight(), now())));
    this.#runner.launchSoon();
  }

  /** Ids of agents that have a node, but are cut off, or were not seen since we are here. */
  #outOfSight(): string[] {
    const { nodes, state, isOurs } = this.#parts;
    return [...nodes.list()]
      .filter((node) => isOurs(node))
      .filter(({ metadata }) => !state.agentOfNode(metadata.name)?.reachable)
      .flatMap(({ metadata }) => metadata.annotations?.[annotations.agentId] ?? []);
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
