import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { QueueWatcher } from '../client/queue.ts';

/** Seconds after which a key that is still worked on says that its controller hangs. */
const hanging = 300;
const buckets = [1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100, 1000];

interface Queue {
  since: Map<string, number>;
  running: Map<string, number>;
}

/** How each controller's queue is doing, under the names Kubernetes uses; and whether one of them hangs. */
export class Figures {
  readonly registry = new Registry();
  readonly #queues = new Map<string, Queue>();
  readonly #now: () => number;
  readonly #adds: Counter;
  readonly #retries: Counter;
  readonly #waited: Histogram;
  readonly #worked: Histogram;

  /** `now` counts milliseconds from anywhere. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    const labels = { labelNames: ['name'], registers };
    this.#adds = new Counter({ name: 'workqueue_adds_total', help: 'Keys that were added.', ...labels });
    this.#retries = new Counter({
      name: 'workqueue_retries_total',
      help: 'Keys that failed and come again.',
      ...labels,
    });
    this.#waited = new Histogram({
      name: 'workqueue_queue_duration_seconds',
      help: 'How long keys wait before they are worked on.',
      buckets,
      ...labels,
    });
    this.#worked = new Histogram({
      name: 'workqueue_work_duration_seconds',
      help: 'How long keys are worked on.',
      buckets,
      ...labels,
    });
    this.#gauge('workqueue_depth', 'Keys that wait.', ({ since }) => since.size);
    this.#gauge('workqueue_unfinished_work_seconds', 'Time spent so far on keys in work, together.', ({ running }) =>
      this.#ages(running).reduce((sum, age) => sum + age, 0),
    );
    this.#gauge(
      'workqueue_longest_running_processor_seconds',
      'Time spent so far on the oldest key in work.',
      (queue) => this.#longest(queue),
    );
  }

  /** Counts for one controller from now on. */
  watch(name: string): QueueWatcher {
    const queue: Queue = { since: new Map(), running: new Map() };
    this.#queues.set(name, queue);
    this.#adds.inc({ name }, 0);
    this.#retries.inc({ name }, 0);
    const spent = (from: Map<string, number>, key: string): number => {
      const began = from.get(key) ?? this.#now();
      from.delete(key);
      return (this.#now() - began) / 1000;
    };
    return {
      added: (key) => {
        this.#adds.inc({ name });
        queue.since.set(key, this.#now());
      },
      taken: (key) => {
        this.#waited.observe({ name }, spent(queue.since, key));
        queue.running.set(key, this.#now());
      },
      done: (key) => this.#worked.observe({ name }, spent(queue.running, key)),
      retried: () => this.#retries.inc({ name }),
    };
  }

  /** Every controller, with what ails it. */
  checks(): { name: string; problem: string | undefined }[] {
    return [...this.#queues].map(([name, queue]) => {
      const seconds = Math.floor(this.#longest(queue));
      return { name, problem: seconds > hanging ? `one key has been worked on for ${seconds} seconds` : undefined };
    });
  }

  #ages = (running: ReadonlyMap<string, number>): number[] =>
    [...running.values()].map((began) => (this.#now() - began) / 1000);

  #longest = ({ running }: Queue): number => this.#ages(running).reduce((most, age) => Math.max(most, age), 0);

  #gauge(name: string, help: string, of: (queue: Queue) => number): void {
    const queues = this.#queues;
    new Gauge({
      name,
      help,
      labelNames: ['name'],
      registers: [this.registry],
      collect() {
        for (const [queue, state] of queues) this.set({ name: queue }, of(state));
      },
    });
  }
}
