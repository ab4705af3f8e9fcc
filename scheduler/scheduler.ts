import type { Pod as PodObject } from '../api/kinds/pod.ts';
import { Pod, isTerminal } from '../api/kinds/pod.ts';
import { type Stored, keyOf, timestamp } from '../api/meta.ts';
import { isNotFound } from '../api/status.ts';
import type { Client } from '../client/client.ts';
import type { EventRecorder } from '../client/events.ts';
import type { Informer } from '../client/informer.ts';
import type { Logger } from '../lib/log.ts';
import { type Cluster, NotLaunched, type Seat } from './cluster.ts';
import { type Search, decide, explain } from './decide.ts';
import type { Profile } from './configuration.ts';
import { Evictor } from './evictor.ts';
import type { Ask, World } from './plugin.ts';
import { preempt } from './preemption.ts';
import { awaitsOffers } from './plugins/resources-fit.ts';
import { SchedulingQueue } from './queue.ts';

type StoredPod = PodObject & Stored;

export interface SchedulerParts {
  client: Client;
  cluster: Cluster;
  pods: Informer<PodObject>;
  events: EventRecorder;
  /** By schedulerName: only pods that name one of them are ours. */
  profiles: ReadonlyMap<string, Profile>;
  world: World;
  log: Logger;
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
  readonly #evictor: Evictor;
  /** Seats we wait for, by pod uid: these pods are not in the queue. */
  readonly #seats = new Map<string, Seat>();
  /** What was last said about a pod that fits nowhere, so that it is said once. */
  readonly #said = new Map<string, string>();
  /** Where the next search for a node begins. */
  #next = 0;
  #timer: NodeJS.Timeout | undefined;
  #scheduled = false;
  #stopped = false;

  constructor(parts: SchedulerParts) {
    this.#parts = parts;
    this.#evictor = new Evictor(parts);
  }

  /** Call when the informer is in sync and the cluster knows what is under way. */
  start(signal: AbortSignal): void {
    this.#parts.pods.on(({ type, object }) => (type === 'deleted' ? this.#forget(object) : this.#see(object)));
    this.#parts.cluster.onChange(() => {
      this.#queue.wake();
      this.#soon();
    });
    signal.addEventListener('abort', () => {
      this.#stopped = true;
      clearTimeout(this.#timer);
    });
  }

  #see(pod: StoredPod): void {
    if (!this.#waits(pod)) return this.#forget(pod);
    if (this.#seats.has(pod.metadata.uid)) return;
    const seat = this.#parts.cluster.seatOf(pod);
    if (seat) return this.#follow(pod, seat);
    this.#queue.put(pod);
    this.#soon();
  }

  #waits(pod: StoredPod): boolean {
    return (
      !pod.spec.nodeName &&
      !isTerminal(pod) &&
      !pod.metadata.deletionTimestamp &&
      !pod.spec.schedulingGates?.length &&
      this.#profileOf(pod) !== undefined
    );
  }

  #profileOf(pod: StoredPod): Profile | undefined {
    return this.#parts.profiles.get(pod.spec.schedulerName ?? 'default-scheduler');
  }

  #forget(pod: StoredPod): void {
    this.#queue.delete(keyOf(pod));
    this.#said.delete(pod.metadata.uid);
    this.#evictor.forget(pod);
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
    for (const pod of ready.slice(0, burst)) this.#place(pod);
    if (ready.length > burst) return this.#soon();
    cluster.want(this.#queue.pods());
    this.#wakeAt(this.#queue.nextTurn());
  }

  #wakeAt(time: number): void {
    clearTimeout(this.#timer);
    if (time === Infinity) return;
    this.#timer = setTimeout(() => this.#soon(), Math.max(0, time - this.#parts.now()));
  }

  #place(pod: StoredPod): void {
    const { cluster, random, world } = this.#parts;
    const profile = this.#profileOf(pod)!;
    const nodes = cluster.nodes(pod);
    const { percentageOfNodesToScore, plugins } = profile;
    const search: Search = { percentageOfNodesToScore, next: this.#next };
    const decision = decide({ pod, needs: cluster.needs(pod), nodes, world }, plugins, random, search);
    this.#next = search.next;
    if ('refusals' in decision) {
      const waits = awaitsOffers(decision.refusals.keys());
      const since = this.#queue.rest(keyOf(pod), this.#parts.now(), waits);
      if (waits && since < patience) return;
      const why = explain(decision.refusals, nodes.length);
      const tried = this.#preempt(pod, { pod, needs: cluster.needs(pod), nodes, world }, profile);
      return this.#explain(pod, tried === undefined ? why : `${why} preemption: ${tried}`);
    }
    const seat = cluster.reserve(pod, decision.node.name);
    if (seat) this.#follow(pod, seat);
    else this.#queue.retry(pod, this.#parts.now());
  }

  /** Makes room for the pod if it may. Answers in words why it could not. */
  #preempt(pod: StoredPod, ask: Ask, { preempts, plugins, schedulerName }: Profile): string | undefined {
    if (!preempts) return undefined;
    if (this.#evictor.awaits(pod, ask.nodes)) return 'not eligible due to a terminating pod on the nominated node.';
    const found = preempt(ask, plugins, (other) => this.#parts.cluster.needs(other));
    if (typeof found === 'string') return found;
    this.#evictor.evict(pod, found, schedulerName);
    // What they leave is for this pod: it is asked first at every change, without a pause.
    this.#queue.rest(keyOf(pod), this.#parts.now(), true);
    return undefined;
  }

  #follow(pod: StoredPod, seat: Seat): void {
    const { events, log, pods, now } = this.#parts;
    this.#queue.delete(keyOf(pod));
    this.#seats.set(pod.metadata.uid, seat);
    const settled = () => this.#seats.delete(pod.metadata.uid);
    seat.launched.then(
      () => {
        settled();
        this.#said.delete(pod.metadata.uid);
        events.record(withKind(pod), 'Normal', 'Scheduled', `Successfully assigned ${keyOf(pod)} to ${seat.node}`);
      },
      (err: unknown) => {
        settled();
        const current = pods.get(keyOf(pod));
        if (!current || current.metadata.uid !== pod.metadata.uid || !this.#waits(current)) return;
        if (!(err instanceof NotLaunched)) log.error({ err, pod: keyOf(pod) }, 'launch failed');
        events.record(
          withKind(pod),
          'Warning',
          'FailedScheduling',
          `not launched on ${seat.node}: ${(err as Error).message}`,
        );
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

/** Objects of a list come without their kind; events name it. */
const withKind = (pod: StoredPod): StoredPod => ({ apiVersion: 'v1', kind: 'Pod', ...pod });
