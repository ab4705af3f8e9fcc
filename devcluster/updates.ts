/**
 * Status updates on their way from an agent: of each task one at a time, sent again until it is acknowledged,
 * first after 10 s, then twice as long each time, up to 10 min.
 */
import type { TaskState, TaskStatus } from '../mesos/tasks.ts';
import type { Timings } from './timings.ts';

interface Stream {
  frameworkId: string;
  waiting: TaskStatus[];
  known: Set<string>;
  latest: TaskState;
  interval: number;
  timer: NodeJS.Timeout | undefined;
}

export type Forward = (frameworkId: string, status: TaskStatus, latest: TaskState) => void;

const text = (uuid: Uint8Array | undefined): string => Buffer.from(uuid ?? []).toString('hex');

export class Updates {
  readonly #streams = new Map<string, Stream>();
  readonly #timings: Timings;
  readonly #forward: Forward;

  constructor(timings: Timings, forward: Forward) {
    this.#timings = timings;
    this.#forward = forward;
  }

  /** False for an update that came before. */
  add(frameworkId: string, status: TaskStatus): boolean {
    const key = `${frameworkId}/${status.task_id.value}`;
    const stream = this.#streams.get(key) ?? this.#begin(key, frameworkId);
    const uuid = text(status.uuid);
    if (stream.known.has(uuid)) return false;
    stream.known.add(uuid);
    stream.latest = status.state;
    stream.waiting.push(status);
    if (stream.waiting.length === 1) this.#send(stream, this.#timings.updateRetryMin);
    return true;
  }

  /** The status that was acknowledged, when it was the one that waited. */
  acknowledge(frameworkId: string, taskId: string, uuid: Uint8Array): TaskStatus | undefined {
    const stream = this.#streams.get(`${frameworkId}/${taskId}`);
    const first = stream?.waiting[0];
    if (!stream || !first || text(first.uuid) !== text(uuid)) return undefined;
    stream.waiting.shift();
    clearTimeout(stream.timer);
    if (stream.waiting.length > 0) this.#send(stream, this.#timings.updateRetryMin);
    return first;
  }

  /** Sends everything that waits again: the master is new, or is back. */
  resend(): void {
    for (const stream of this.#streams.values())
      if (stream.waiting.length > 0) this.#send(stream, this.#timings.updateRetryMin);
  }

  forget(frameworkId: string, taskId?: string): void {
    for (const [key, stream] of this.#streams) {
      if (stream.frameworkId !== frameworkId || (taskId !== undefined && key !== `${frameworkId}/${taskId}`)) continue;
      clearTimeout(stream.timer);
      this.#streams.delete(key);
    }
  }

  stop(): void {
    for (const stream of this.#streams.values()) clearTimeout(stream.timer);
  }

  #begin(key: string, frameworkId: string): Stream {
    const stream: Stream = {
      frameworkId,
      waiting: [],
      known: new Set(),
      latest: 'TASK_STAGING',
      interval: 0,
      timer: undefined,
    };
    this.#streams.set(key, stream);
    return stream;
  }

  #send(stream: Stream, interval: number): void {
    clearTimeout(stream.timer);
    const next = Math.min(interval * 2, this.#timings.updateRetryMax);
    stream.timer = setTimeout(() => this.#send(stream, next), interval);
    stream.timer.unref();
    this.#forward(stream.frameworkId, stream.waiting[0]!, stream.latest);
  }
}
