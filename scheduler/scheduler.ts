import type { Pod as PodObject } from '../api/kinds/pod.ts';
import { Pod, isTerminal } from '../api/kinds/pod.ts';
import { type Stored, keyOf, timestamp } from '../api/meta.ts';
import { isNotFound } from '../api/status.ts';
import type { Client } from '../client/client.ts';
import type { EventRecorder } from '../client/events.ts';
import type { Informer } from '../client/informer.ts';
import type { Logger } from '../lib/log.ts';
import { claimNames } from '../api/volume-claims.ts';
import type { AssumedVolumes } from './assumed-volumes.ts';
import { type Cluster, type NodeView, NotLaunched, type Seat } from './cluster.ts';
import { type Decision, type Search, decide, explain } from './decide.ts';
import type { Profile } from './configuration.ts';
import { Evictor } from './evictor.ts';
import { type Explanation, explainNodes } from './explain.ts';
import type { Figures } from './figures.ts';
import { Groups, groupOf, shortOf } from './groups.ts';
import { Nominations } from './nominations.ts';
import type { Ask, Weighted, World } from './plugin.ts';
import { preempt } from './preemption.ts';
import { awaitsOffers } from './plugins/resources-fit.ts';
import { volumeBinding, volumesOn } from './plugins/volume-binding.ts';
import { type QueuePart, SchedulingQueue } from './queue.ts';
import { filtersOf, refusal } from './verdicts.ts';

type StoredPod = PodObject & Stored;

export interface SchedulerParts {
  client: Client;
  cluster: Cluster;
  pods: Informer<PodObject>;
  events: EventRecorder;
  /** By schedulerName: only pods that name one of them are ours. */
  profiles: ReadonlyMap<string, Profile>;
  world: World;
  /** Those of `world`. */
  volumes: AssumedVolumes;
  log: Logger;
  figures: Figures;
  random: () => number;
  now: () => number;
}

/** Milliseconds a pod may wait for offers before that is worth telling. */
const patience = 5_000;

/** Decisions in one go before others get a turn on the event loop. */
const burst = 200;

/** The loop: pods whose turn it is → decide → reserve, or say why not. One decision at a time, none waits for I/O. */
export class Scheduler {
  readonly #parts: SchedulerParts;
  readonly #queue = new SchedulingQueue();
  readonly #nominations: Nominations;
  readonly #evictor: Evictor;
  readonly #groups: Groups;
  /** Seats we wait for, by pod uid: these pods are not in the queue. */
  readonly #seats = new Map<string, Seat>();
  /** Pods that are not to be placed yet, by uid. */
  readonly #gated = new Set<string>();
  /** What was last said about a pod that fits nowhere, so that it is said once. */
  readonly #said = new Map<string, string>();
  /** Where the next search for a node begins. */
  #next = 0;
  #timer: NodeJS.Timeout | undefined;
  #scheduled = false;
  #stopped = false;

  constructor(parts: SchedulerParts) {
    this.#parts = parts;
    this.#groups = new Groups({ ...parts, changed: (helps) => this.wake(helps) });
    this.#nominations = new Nominations((pod) => parts.cluster.needs(pod));
    this.#evictor = new Evictor({ ...parts, nominations: this.#nominations });
  }

  /** Call when the informer is in sync and the cluster knows what is under way. */
  start(signal: AbortSignal): void {
    this.#parts.figures.countPending(() => this.#pending());
    this.#groups.start(signal);
    this.#parts.pods.on(({ type, object }) => {
      if (type !== 'deleted') return this.#see(object);
      this.#gated.delete(object.metadata.uid);
      this.#groups.forget(object);
      this.#parts.volumes.forget(object);
      this.#forget(object);
    });
    this.#parts.cluster.onChange(() => {
      this.#queue.wake();
      this.#soon();
    });
    signal.addEventListener('abort', () => {
      this.#stopped = true;
      clearTimeout(this.#timer);
    });
  }

  /** Something changed beside pods and nodes that may help those pods. */
  wake(helps: (pod: PodObject) => boolean): void {
    this.#queue.wake(helps);
    this.#soon();
  }

  /** Who waits, for what, and until when (milliseconds) at the latest. */
  queue(): { pod: string; part: QueuePart; until: number; said: string | undefined }[] {
    return this.#queue.describe(this.#parts.now()).map(({ pod, part, until }) => ({
      pod: keyOf(pod),
      part,
      until,
      said: this.#said.get(pod.metadata.uid),
    }));
  }

  /** What the policies say of every node for this pod, as things are now; undefined when there is no such pod of ours. */
  explain(key: string): (Explanation & { pod: string; schedulerName: string; placedOn?: string }) | undefined {
    const pod = this.#parts.pods.get(key);
    const profile = pod && this.#profileOf(pod);
    if (!profile) return undefined;
    const placedOn = pod.spec.nodeName ?? this.#seats.get(pod.metadata.uid)?.node;
    return {
      pod: key,
      schedulerName: profile.schedulerName,
      ...(placedOn ? { placedOn } : {}),
      ...explainNodes(this.#ask(pod), this.#nominations.heeded(profile.plugins)),
    };
  }

  #pending(): Record<string, number> {
    const counts = { active: 0, backoff: 0, unschedulable: 0, gated: this.#gated.size };
    for (const { part } of this.#queue.describe(this.#parts.now())) counts[part] += 1;
    return counts;
  }

  #see(pod: StoredPod): void {
    if (isGated(pod)) this.#groups.forget(pod);
    else this.#groups.see(pod);
    if (isGated(pod)) this.#gated.add(pod.metadata.uid);
    else this.#gated.delete(pod.metadata.uid);
    if (!this.#waits(pod)) return this.#forget(pod);
    this.#parts.figures.came(pod.metadata.uid);
    if (this.#seats.has(pod.metadata.uid)) return;
    this.#nominations.see(pod);
    const seat = this.#parts.cluster.seatOf(pod);
    if (seat) {
      this.#parts.volumes.assume(pod, seat.volumes ?? {});
      return this.#follow(pod, seat);
    }
    this.#queue.put(pod);
    this.#soon();
  }

  #waits(pod: StoredPod): boolean {
    return (
      !pod.spec.nodeName &&
      !isTerminal(pod) &&
      !pod.metadata.deletionTimestamp &&
      !isGated(pod) &&
      this.#profileOf(pod) !== undefined
    );
  }

  #profileOf(pod: StoredPod): Profile | undefined {
    return this.#parts.profiles.get(pod.spec.schedulerName ?? 'default-scheduler');
  }

  #forget(pod: StoredPod): void {
    this.#queue.delete(keyOf(pod));
    this.#said.delete(pod.metadata.uid);
    if (!this.#seats.has(pod.metadata.uid)) this.#parts.figures.left(pod.metadata.uid);
    this.#evictor.forget(pod);
    // What was kept for it is for others.
    if (this.#nominations.forget(pod)) this.wake(() => true);
    if (this.#queue.size === 0) this.#soon();
  }

  #soon(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (!this.#stopped) this.#pass();
    });
  }

  #pass(): void {
    const { cluster, now } = this.#parts;
    const ready = this.#queue.ready(now());
    const tried = new Set<string>();
    for (const pod of ready.slice(0, burst)) {
      const group = groupOf(pod);
      if (group === undefined) this.#place(pod);
      else if (!tried.has(group)) this.#placeTogether(group);
      if (group !== undefined) tried.add(group);
    }
    if (ready.length > burst) return this.#soon();
    cluster.want(this.#queue.pods());
    this.#wakeAt(this.#queue.nextTurn());
  }

  #wakeAt(time: number): void {
    clearTimeout(this.#timer);
    if (time === Infinity) return;
    this.#timer = setTimeout(() => this.#soon(), Math.max(0, time - this.#parts.now()));
  }

  #ask(pod: StoredPod): Ask {
    const { cluster, world } = this.#parts;
    return { pod, needs: cluster.needs(pod), nodes: cluster.nodes(pod), world };
  }

  #decide(pod: StoredPod): Decision {
    const { figures, random } = this.#parts;
    const { percentageOfNodesToScore, plugins, schedulerName } = this.#profileOf(pod)!;
    const search: Search = { percentageOfNodesToScore, next: this.#next };
    const began = performance.now();
    const ask = this.#ask(pod);
    const heeded = this.#nominations.heeded(plugins);
    const decision = this.#nominated(ask, heeded) ?? decide(ask, heeded, random, search);
    this.#next = search.next;
    const result = 'refusals' in decision ? 'unschedulable' : 'scheduled';
    figures.tried(pod.metadata.uid, schedulerName, result, performance.now() - began);
    return decision;
  }

  /** The node where room was made for the pod comes first, as soon as it fits there. */
  #nominated(ask: Ask, plugins: readonly Weighted[]): Decision | undefined {
    const name = this.#nominations.nodeOf(ask.pod);
    const node = name === undefined ? undefined : ask.nodes.find((one) => one.name === name);
    if (!node || refusal(node, filtersOf(ask, plugins)) !== undefined) return undefined;
    return { node, score: 0 };
  }

  #place(pod: StoredPod): void {
    const decision = this.#decide(pod);
    if ('refusals' in decision) {
      const why = this.#refuse(pod, decision.refusals);
      if (why === undefined) return;
      const tried = this.#preempt(pod);
      return this.#explain(pod, tried === undefined ? why : `${why} preemption: ${tried}`);
    }
    const seat = this.#reserve(pod, decision.node);
    if (seat) this.#follow(pod, seat);
    else this.#queue.retry(pod, this.#parts.now());
  }

  /** No node took it: it rests. Answers why in words, once that is worth telling. */
  #refuse(pod: StoredPod, refusals: ReadonlyMap<string, number>): string | undefined {
    const waits = awaitsOffers(refusals.keys());
    const nodes = this.#parts.cluster.nodes(pod);
    // The first node of all, and a new one, are worth a try at once.
    const isNear = () => nodes.length === 0 || nodes.some(({ isSettling }) => isSettling);
    const since = this.#queue.rest(keyOf(pod), this.#parts.now(), waits || isNear());
    return waits && since < patience ? undefined : explain(refusals, nodes.length);
  }

  /** With the volumes that its claims will have there, which are nobody else's from now on. */
  #reserve(pod: StoredPod, { name, node }: NodeView): Seat | undefined {
    const { cluster, volumes } = this.#parts;
    const binds = this.#profileOf(pod)!.plugins.some(({ plugin }) => plugin === volumeBinding);
    const chosen = binds && claimNames(pod).length > 0 ? volumesOn(node, this.#ask(pod)) : undefined;
    const seat = cluster.reserve(pod, name, chosen);
    if (seat && chosen) volumes.assume(pod, chosen);
    return seat;
  }

  #release(pod: StoredPod): void {
    this.#parts.cluster.release(pod);
    this.#parts.volumes.forget(pod);
  }

  /** As many of the group as must be, or none: places are taken one after the other, and given back when they do not suffice. */
  #placeTogether(group: string): void {
    const { now } = this.#parts;
    const members = this.#groups.members(group);
    const waiting = members.filter((pod) => this.#queue.has(keyOf(pod)));
    const atLeast = this.#groups.atLeast(group);
    if (typeof atLeast === 'string') {
      // No node was asked: the next change may try them at once.
      for (const pod of waiting) {
        this.#queue.rest(keyOf(pod), now(), true);
        this.#explain(pod, `${atLeast}.`);
      }
      return;
    }
    const seats = new Map<StoredPod, Seat>();
    const refused = new Map<StoredPod, ReadonlyMap<string, number>>();
    for (const pod of waiting) {
      const decision = this.#decide(pod);
      if ('refusals' in decision) refused.set(pod, decision.refusals);
      else {
        const seat = this.#reserve(pod, decision.node);
        if (seat) seats.set(pod, seat);
      }
    }
    const placed = members.length - waiting.length + seats.size;
    const suffices = placed >= atLeast;
    if (suffices) for (const [pod, seat] of seats) this.#follow(pod, seat);
    else for (const pod of seats.keys()) this.#release(pod);
    const short = suffices ? '' : ` ${shortOf(group, placed, atLeast, 'find a place')}.`;
    const [first = new Map<string, number>()] = refused.values();
    for (const pod of waiting.filter((one) => !suffices || !seats.has(one))) {
      const why = this.#refuse(pod, refused.get(pod) ?? first);
      if (why !== undefined) this.#explain(pod, `${why}${short}`);
    }
  }

  /** Makes room for the pod if it may. Answers in words why it could not. */
  #preempt(pod: StoredPod): string | undefined {
    const { preemption, preempts, plugins, schedulerName } = this.#profileOf(pod)!;
    if (!preempts) return undefined;
    const ask = this.#ask(pod);
    if (this.#evictor.awaits(pod, ask.nodes)) return 'not eligible due to a terminating pod on the nominated node.';
    const needsOf = (other: PodObject) => this.#parts.cluster.needs(other);
    const found = preempt(ask, this.#nominations.heeded(plugins), needsOf, preemption);
    if (typeof found === 'string') {
      this.#evictor.withdraw(pod);
      return found;
    }
    this.#parts.figures.preempted(found.victims.length);
    this.#evictor.evict(pod, found, schedulerName);
    // What they leave is for this pod: it is asked first at every change, without a pause.
    this.#queue.rest(keyOf(pod), this.#parts.now(), true);
    return undefined;
  }

  #follow(pod: StoredPod, seat: Seat): void {
    const { events, figures, log, pods, now } = this.#parts;
    this.#queue.delete(keyOf(pod));
    this.#nominations.forget(pod);
    this.#seats.set(pod.metadata.uid, seat);
    const settled = () => this.#seats.delete(pod.metadata.uid);
    seat.launched.then(
      () => {
        settled();
        this.#said.delete(pod.metadata.uid);
        figures.placed(pod.metadata.uid);
        events.record(withKind(pod), 'Normal', 'Scheduled', `Successfully assigned ${keyOf(pod)} to ${seat.node}`);
      },
      (err: unknown) => {
        settled();
        this.#parts.volumes.forget(pod);
        const current = pods.get(keyOf(pod));
        if (!current || current.metadata.uid !== pod.metadata.uid || !this.#waits(current)) return;
        if (!(err instanceof NotLaunched)) log.error({ err, pod: keyOf(pod) }, 'launch failed');
        events.record(
          withKind(pod),
          'Warning',
          'FailedScheduling',
          `not launched on ${seat.node}: ${(err as Error).message}`,
        );
        this.#nominations.see(current);
        this.#queue.retry(current, now());
        this.#soon();
      },
    );
  }

  /** The pod's condition and an event, once per change of the words. */
  #explain(pod: StoredPod, message: string): void {
    const { client, events, log, now } = this.#parts;
    if (this.#said.get(pod.metadata.uid) === message) return;
    this.#said.set(pod.metadata.uid, message);
    events.record(withKind(pod), 'Warning', 'FailedScheduling', message);
    const condition = {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message,
      lastProbeTime: null,
      lastTransitionTime: timestamp(now()),
    };
    client
      .patch(Pod, pod.metadata, { status: { conditions: [condition] } }, { type: 'strategic', subresource: 'status' })
      .catch((err: unknown) => {
        if (!isNotFound(err)) log.warn({ err, pod: keyOf(pod) }, 'could not write why the pod waits');
      });
  }
}

const isGated = ({ spec, metadata }: StoredPod): boolean =>
  (spec.schedulingGates ?? []).length > 0 && !metadata.deletionTimestamp;

/** Objects of a list come without their kind; events name it. */
const withKind = (pod: StoredPod): StoredPod => ({ apiVersion: 'v1', kind: 'Pod', ...pod });
