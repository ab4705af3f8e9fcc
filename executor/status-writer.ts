import type { Pod, PodStatus } from '../api/kinds/pod.ts';
import { Backoff } from '../lib/backoff.ts';
import { delay } from '../lib/delay.ts';
import { equal } from '../lib/equal.ts';
import type { Logger } from '../lib/log.ts';
import type { Apiserver } from './apiserver.ts';
import { own } from './status.ts';

interface Entry {
  pod: Pod;
  wanted: PodStatus;
  written: PodStatus | undefined;
  writing: Promise<void> | undefined;
  /** The apiserver has a condition of ours that is not what we wrote. */
  isContested: boolean;
}

/**
 * Brings pod statuses to the apiserver: one write at a time per pod, the newest status wins, what fails is tried again
 * until it is written, through an outage of any length. What is written already is not written again.
 */
export class StatusWriter {
  readonly #apiserver: Apiserver;
  readonly #signal: AbortSignal;
  readonly #log: Logger;
  readonly #entries = new Map<string, Entry>();

  constructor(apiserver: Apiserver, signal: AbortSignal, log: Logger) {
    this.#apiserver = apiserver;
    this.#signal = signal;
    this.#log = log;
  }

  set(pod: Pod, status: PodStatus): void {
    const uid = pod.metadata.uid!;
    const made = { pod, wanted: status, written: undefined, writing: undefined, isContested: false };
    const entry = this.#entries.get(uid) ?? made;
    this.#entries.set(uid, entry);
    entry.pod = pod;
    entry.wanted = status;
    entry.writing ??= this.#write(entry);
  }

  /** What was written is lost: the object was made anew. */
  again(uid: string): void {
    const entry = this.#entries.get(uid);
    if (!entry) return;
    entry.written = undefined;
    entry.writing ??= this.#write(entry);
  }

  /** The pod as the apiserver has it, from a watch. */
  seen({ metadata, status }: Pod): void {
    const entry = this.#entries.get(metadata.uid!);
    const theirs = new Map(status?.conditions?.map((condition) => [condition.type, condition.status]));
    const ours = entry?.written?.conditions?.filter(({ type }) => own.has(type)) ?? [];
    if (entry) entry.isContested = ours.some((condition) => theirs.get(condition.type) !== condition.status);
  }

  /**
   * Our node is known to be well: what others said of its pods while it was not is no longer so. Not at once but now and then, since
   * whoever still takes the node for lost would only say it again.
   */
  insist(): void {
    for (const [uid, { isContested }] of this.#entries) if (isContested) this.again(uid);
  }

  /** The newest status of a pod, written or not. */
  latest(uid: string): PodStatus | undefined {
    return this.#entries.get(uid)?.wanted;
  }

  /** Resolves when what was set is written, or we are stopping. */
  async flush(uid: string): Promise<void> {
    await this.#entries.get(uid)?.writing;
  }

  async flushAll(): Promise<void> {
    for (const { writing } of this.#entries.values()) await writing;
  }

  forget(uid: string): void {
    this.#entries.delete(uid);
  }

  async #write(entry: Entry): Promise<void> {
    const backoff = new Backoff({ first: 100, max: 5_000 });
    await Promise.resolve(); // changes of the same moment go into one write
    while (!equal(entry.wanted, entry.written)) {
      const { pod, wanted } = entry;
      try {
        await this.#apiserver.writeStatus(pod, wanted);
        entry.written = wanted;
        backoff.reset();
      } catch (err) {
        this.#log.debug({ err, pod: pod.metadata.name }, 'pod status was not written; trying again');
        await delay(backoff.next(), this.#signal).catch(() => undefined);
        if (this.#signal.aborted) break;
      }
    }
    entry.writing = undefined; // with the last look at what is wanted: a set after it starts anew
  }
}
