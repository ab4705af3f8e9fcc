import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

export type Result = 'scheduled' | 'unschedulable' | 'error';

interface Attempts {
  since: number;
  count: number;
}

const doubling = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first * 2 ** i);

/** How the placing of pods goes, under the names that kube-scheduler uses. */
export class Figures {
  readonly registry = new Registry();
  readonly #attempts = new Map<string, Attempts>();
  readonly #now: () => number;
  readonly #results: Counter;
  readonly #durations: Histogram;
  readonly #tries: Histogram;
  readonly #waited: Histogram;
  readonly #preemptions: Counter;
  readonly #victims: Histogram;
  #pending: () => Readonly<Record<string, number>> = () => ({});

  /** `now` counts milliseconds from anywhere. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    const labelNames = ['profile', 'result'];
    this.#results = new Counter({
      name: 'scheduler_schedule_attempts_total',
      help: 'Tries to place a pod, by what came of them.',
      labelNames,
      registers,
    });
    this.#durations = new Histogram({
      name: 'scheduler_scheduling_attempt_duration_seconds',
      help: 'How long a decision takes.',
      buckets: doubling(0.0001, 15),
      labelNames,
      registers,
    });
    this.#tries = new Histogram({
      name: 'scheduler_pod_scheduling_attempts',
      help: 'How many tries it took until a pod had its place.',
      buckets: doubling(1, 5),
      registers,
    });
    this.#waited = new Histogram({
      name: 'scheduler_pod_scheduling_sli_duration_seconds',
      help: 'From when a pod came into the queue until it was bound.',
      buckets: doubling(0.01, 20),
      labelNames: ['attempts'],
      registers,
    });
    this.#preemptions = new Counter({
      name: 'scheduler_preemption_attempts_total',
      help: 'Pods for which room was made.',
      registers,
    });
    this.#victims = new Histogram({
      name: 'scheduler_preemption_victims',
      help: 'How many pods had to go for one.',
      buckets: doubling(1, 7),
      registers,
    });
    const pending = () => this.#pending();
    new Gauge({
      name: 'scheduler_pending_pods',
      help: 'Pods that wait: for their turn, for the end of a pause, for a change that may help, behind a gate.',
      labelNames: ['queue'],
      registers,
      collect() {
        for (const [queue, count] of Object.entries(pending())) this.set({ queue }, count);
      },
    });
  }

  /** Pods that wait, by the part of the queue they are in. */
  countPending(pending: () => Readonly<Record<string, number>>): void {
    this.#pending = pending;
  }

  /** A pod came into the queue. */
  came(uid: string): void {
    if (!this.#attempts.has(uid)) this.#attempts.set(uid, { since: this.#now(), count: 0 });
  }

  tried(uid: string, profile: string, result: Result, milliseconds: number): void {
    const attempts = this.#attempts.get(uid);
    if (attempts) attempts.count += 1;
    this.#results.inc({ profile, result });
    this.#durations.observe({ profile, result }, milliseconds / 1000);
  }

  /** The pod is bound. */
  placed(uid: string): void {
    const attempts = this.#attempts.get(uid);
    if (!attempts) return;
    this.#attempts.delete(uid);
    this.#tries.observe(attempts.count);
    this.#waited.observe({ attempts: Math.min(attempts.count, 15) }, (this.#now() - attempts.since) / 1000);
  }

  /** The pod needs no place any more. */
  left(uid: string): void {
    this.#attempts.delete(uid);
  }

  preempted(victims: number): void {
    this.#preemptions.inc();
    this.#victims.observe(victims);
  }
}
