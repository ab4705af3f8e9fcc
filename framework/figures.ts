import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Call, Event } from '../mesos/scheduler.ts';

/** What became of an offer; `lost` with the connection to the master. */
export type Fate = 'accepted' | 'declined' | 'rescinded' | 'lost';

/** One offer's life with us; times in milliseconds. */
export interface OfferRecord {
  id: string;
  hostname: string;
  received: number;
  /** Both missing while it is in hand. */
  fate?: Fate;
  ended?: number;
}

/** A task that was sent, and what was heard of it first; times in milliseconds. */
export interface LaunchRecord {
  at: number;
  /** `name.namespace.pod`, as the task is called. */
  pod: string;
  agent: string;
  said?: string;
  ms?: number;
}

/** Offers remembered after their end, so that "who had it, and for how long?" can be answered. */
const remembered = 1000;
/** Launches remembered for whoever looks. */
const shownLaunches = 50;
/** Launches whose first update is waited for; older ones are forgotten. */
const mostLaunches = 100_000;

/**
 * What goes between us and the master, counted: under the names of the first km (`mesos_…`), and new ones (`km_mesos_…`).
 * It watches and changes nothing.
 */
export class Figures {
  readonly #now: () => number;
  readonly #inHand = new Map<string, OfferRecord>();
  readonly #history: OfferRecord[] = [];
  readonly #launched = new Map<string, LaunchRecord>();
  #launches: LaunchRecord[] = [];
  readonly #received: Counter;
  readonly #declined: Counter;
  readonly #acquired: Counter;
  readonly #released: Counter;
  readonly #held: Histogram;
  readonly #calls: Counter;
  readonly #podsPerAccept: Histogram;
  readonly #updates: Counter;
  readonly #reconciliations: Counter;
  readonly #answered: Histogram;
  readonly #bindings: Histogram;
  readonly #subscribed: Gauge;
  #isSubscribed = false;

  constructor(registry: Registry, now: () => number = Date.now) {
    this.#now = now;
    const registers = [registry];
    const counter = (name: string, help: string, labelNames: string[] = []) =>
      new Counter({ name, help, labelNames, registers });
    const histogram = (name: string, help: string, buckets: number[], labelNames: string[] = []) =>
      new Histogram({ name, help, buckets, labelNames, registers });
    this.#received = counter('mesos_offers_received', 'Offers that came.', ['hostname']);
    this.#declined = counter('mesos_offers_declined', 'Offers that were not used.', ['hostname', 'reason']);
    this.#acquired = counter('mesos_offers_acquired', 'Offers that pods were launched on.', ['hostname']);
    this.#released = counter('mesos_offers_released', 'Offers that went back unused, or were taken back.', [
      'hostname',
    ]);
    this.#held = histogram(
      'km_mesos_offer_held_seconds',
      'How long an offer was in hand.',
      [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
      ['fate'],
    );
    this.#calls = counter('km_mesos_calls_total', 'Calls sent to the master.', ['type']);
    this.#podsPerAccept = histogram('km_mesos_pods_per_accept', 'Pods that left in one ACCEPT.', [1, 2, 5, 10, 20, 50]);
    this.#updates = counter('mesos_scheduler_status_updates', 'Task updates by what they say.', [
      'source',
      'reason',
      'state',
    ]);
    this.#reconciliations = counter('mesos_scheduler_reconciliation_executed', 'Questions about tasks.', ['kind']);
    this.#answered = histogram(
      'km_mesos_launch_seconds',
      'From an ACCEPT until the first word of each of its tasks.',
      [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    );
    this.#bindings = histogram(
      'mesos_scheduler_bind_latency_microseconds',
      'How long it takes to bind a pod whose task has started.',
      [1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 500_000, 1_000_000, 10_000_000],
    );
    this.#subscribed = new Gauge({
      name: 'km_mesos_subscribed',
      help: '1 while there is a subscription to a master.',
      registers,
    });
    const inHand = this.#inHand;
    new Gauge({
      name: 'km_mesos_offers',
      help: 'Offers in hand.',
      registers,
      collect() {
        this.set(inHand.size);
      },
    });
  }

  event(event: Event): void {
    if (event.type === 'OFFERS')
      for (const { id, hostname } of event.offers.offers ?? []) this.#came(id.value, hostname);
    else if (event.type === 'SUBSCRIBED') this.#subscribe(true);
    else if (event.type === 'RESCIND') this.#end(event.rescind.offer_id.value, 'rescinded');
    else if (event.type === 'UPDATE') {
      const { task_id, state, source = '', reason = '' } = event.update.status;
      this.#updates.inc({ source, reason, state });
      const launch = this.#launched.get(task_id.value);
      if (!launch) return;
      this.#launched.delete(task_id.value);
      Object.assign(launch, { said: state, ms: this.#now() - launch.at });
      this.#answered.observe(launch.ms! / 1000);
    }
  }

  call(call: Call): void {
    this.#calls.inc({ type: call.type });
    if (call.type === 'DECLINE') for (const { value } of call.decline.offer_ids ?? []) this.#end(value, 'declined');
    else if (call.type === 'RECONCILE')
      this.#reconciliations.inc({ kind: call.reconcile.tasks?.length ? 'explicit' : 'implicit' });
    else if (call.type === 'ACCEPT') {
      for (const { value } of call.accept.offer_ids ?? []) this.#end(value, 'accepted');
      const tasks = (call.accept.operations ?? []).flatMap((operation) =>
        operation.type === 'LAUNCH' ? (operation.launch?.task_infos ?? []) : [],
      );
      this.#podsPerAccept.observe(tasks.length);
      const at = this.#now();
      for (const { task_id, name, agent_id } of tasks)
        this.#launched.set(task_id.value, { at, pod: name, agent: agent_id.value });
      this.#launches = [...this.#launched.values()].slice(-tasks.length).concat(this.#launches).slice(0, shownLaunches);
      while (this.#launched.size > mostLaunches) this.#launched.delete(this.#launched.keys().next().value!);
    }
  }

  disconnected(): void {
    this.#subscribe(false);
    for (const id of [...this.#inHand.keys()]) this.#end(id, 'lost');
  }

  /** The latest tasks that were sent, the last first. */
  launches(): LaunchRecord[] {
    return this.#launches;
  }

  get subscribed(): boolean {
    return this.#isSubscribed;
  }

  bound(milliseconds: number): void {
    this.#bindings.observe(milliseconds * 1000);
  }

  /** The offers in hand, and those that were, the last first. */
  offers(): { inHand: OfferRecord[]; history: OfferRecord[] } {
    return { inHand: [...this.#inHand.values()], history: this.#history.toReversed() };
  }

  #subscribe(is: boolean): void {
    this.#isSubscribed = is;
    this.#subscribed.set(is ? 1 : 0);
  }

  #came(id: string, hostname: string): void {
    this.#inHand.set(id, { id, hostname, received: this.#now() });
    this.#received.inc({ hostname });
  }

  #end(id: string, fate: Fate): void {
    const offer = this.#inHand.get(id);
    if (!offer) return;
    this.#inHand.delete(id);
    const { hostname, received } = offer;
    const ended = this.#now();
    this.#history.push({ ...offer, fate, ended });
    if (this.#history.length > remembered) this.#history.shift();
    this.#held.observe({ fate }, (ended - received) / 1000);
    if (fate === 'accepted') return this.#acquired.inc({ hostname });
    this.#released.inc({ hostname });
    if (fate === 'declined') this.#declined.inc({ hostname, reason: 'unused' });
    if (fate === 'rescinded') this.#declined.inc({ hostname, reason: 'rescinded' });
  }
}
