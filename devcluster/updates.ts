/**
 * Status updates on their way from an agent: of each task (or operation) one at a time, sent again until it is
 * acknowledged, first after 10 s, then twice as long each time, up to 10 min.
 */
import type { Timings } from './timings.ts';

interface Stream<S> {
  frameworkId: string;
  waiting: S[];
  known: Set<string>;
  latest: S;
  interval: number;
  timer: NodeJS.Timeout | undefined;
}

export interface UpdatesOptions<S> {
  timings: Timings;
  /** What the status is of: a task's id, an operation's. */
  subject(status: S): string;
  uuid(status: S): Uint8Array | undefined;
  /** `latest` may be ahead of the status. */
  forward(frameworkId: string, status: S, latest: S): void;
}

const text = (uuid: Uint8Array | undefined): string => Buffer.from(uuid ?? []).toString('hex');

export class Updates<S> {
  readonly #streams = new Map<string, Stream<S>>();
  readonly #options: UpdatesOptions<S>;

  constructor(options: UpdatesOptions<S>) {
    this.#options = options;
  }

  /** False for an update that came before. */
  add(frameworkId: string, status: S): boolean {
    const key = `${frameworkId}/${this.#options.subject(status)}`;
    const stream = this.#streams.get(key) ?? this.#begin(key, frameworkId, status);
    const uuid = text(this.#options.uuid(status));
    if (stream.known.has(uuid)) return false;
    stream.known.add(uuid);
    stream.latest = status;
    stream.waiting.push(status);
    if (stream.waiting.length === 1) this.#send(stream);
    return true;
  }

  /** The status that was acknowledged, when it was the one that waited. */
  acknowledge(frameworkId: string, subject: string, uuid: Uint8Array): S | undefined {
    const stream = this.#streams.get(`${frameworkId}/${subject}`);
    const first = stream?.waiting[0];
    if (!stream || !first || text(this.#options.uuid(first)) !== text(uuid)) return undefined;
    stream.waiting.shift();
    clearTimeout(stream.timer);
    if (stream.waiting.length > 0) this.#send(stream);
    return first;
  }

  /** Sends everything that waits again: the master is new, or is back. */
  resend(): void {
    for (const stream of this.#streams.values()) if (stream.waiting.length > 0) this.#send(stream);
  }

  has(frameworkId: string, subject: string): boolean {
    return this.#streams.has(`${frameworkId}/${subject}`);
  }

  forget(frameworkId: string, subject?: string): void {
    for (const [key, stream] of this.#streams) {
      if (stream.frameworkId !== frameworkId || (subject !== undefined && key !== `${frameworkId}/${subject}`))
        continue;
      clearTimeout(stream.timer);
      this.#streams.delete(key);
    }
  }

  stop(): void {
    for (const stream of this.#streams.values()) clearTimeout(stream.timer);
  }

  #begin(key: string, frameworkId: string, latest: S): Stream<S> {
    const stream = { frameworkId, waiting: [], known: new Set<string>(), latest, interval: 0, timer: undefined };
    this.#streams.set(key, stream);
    return stream;
  }

  #send(stream: Stream<S>, interval = this.#options.timings.updateRetryMin): void {
    clearTimeout(stream.timer);
    const next = Math.min(interval * 2, this.#options.timings.updateRetryMax);
    stream.timer = setTimeout(() => this.#send(stream, next), interval);
    stream.timer.unref();
    this.#options.forward(stream.frameworkId, stream.waiting[0]!, stream.latest);
  }
}
