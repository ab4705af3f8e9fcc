import { delay } from '../lib/delay.ts';
import { Backoff } from '../lib/backoff.ts';
import type { Logger } from '../lib/log.ts';
import { equal } from '../lib/equal.ts';
import type { Changes, Plan, ServicePort } from './rules.ts';
import type { Refusal, Writer } from './writer.ts';

export interface SyncDeps {
  writer: Writer;
  /** The ports that a Service (`namespace/name`) should have now. */
  portsOf: (service: string) => readonly ServicePort[];
  /** After each write: what was there, what has changed, what is there. */
  written: (before: Plan, changes: Changes, now: Plan, seconds: number) => Promise<void>;
  failed: (refusals: number) => void;
  log: Logger;
  /** Milliseconds between two tries of what was refused. */
  retryMs: number;
}

/**
 * From "this Service has changed" to rules in place. What comes while a write is under way goes into the next one, together.
 */
export class Sync {
  readonly #deps: SyncDeps;
  readonly #plan = new Map<string, ServicePort>();
  readonly #keys = new Map<string, readonly string[]>();
  readonly #dirty = new Set<string>();
  /** Port → why it was refused last, so that the log says it once. */
  readonly #refused = new Map<string, string>();
  #wake: () => void = () => undefined;
  /** When the oldest change that is not in place yet came, milliseconds; undefined when all are. */
  waitingSince: number | undefined;

  constructor(deps: SyncDeps) {
    this.#deps = deps;
  }

  mark(service: string): void {
    this.#dirty.add(service);
    this.waitingSince ??= Date.now();
    this.#wake();
  }

  /** Writes once: what cannot be written at all rejects, and stays to be written. */
  async once(): Promise<void> {
    const services = [...this.#dirty];
    this.#dirty.clear();
    const changes = this.#changesOf(services);
    const started = performance.now();
    try {
      const refusals = await this.#deps.writer.apply(changes);
      const before = new Map(
        [...changes.keys()].map((key) => [key, this.#plan.get(key)!] as const).filter(([, p]) => p),
      );
      this.#take(services, changes);
      this.#note(changes, refusals);
      if (this.#dirty.size === 0) this.waitingSince = undefined;
      await this.#deps.written(before, changes, this.#plan, (performance.now() - started) / 1000);
    } catch (error) {
      for (const service of services) this.#dirty.add(service);
      this.#deps.failed(1);
      throw error;
    }
  }

  /** Until the signal aborts. */
  async follow(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff({ first: 250, max: 30_000 });
    while (!signal.aborted) {
      if (this.#dirty.size === 0 && !(await this.#woken(signal))) this.#retryRefused();
      if (signal.aborted || this.#dirty.size === 0) continue;
      try {
        await this.once();
        backoff.reset();
      } catch (err) {
        this.#deps.log.error({ err }, 'no rules can be written; those that are there go on');
        await delay(backoff.next(), signal).catch(() => undefined);
      }
    }
  }

  #changesOf(services: readonly string[]): Map<string, ServicePort | undefined> {
    const changes = new Map<string, ServicePort | undefined>();
    for (const service of services) {
      const ports = this.#deps.portsOf(service);
      for (const key of this.#keys.get(service) ?? [])
        if (!ports.some((port) => port.key === key)) changes.set(key, undefined);
      for (const port of ports)
        if (this.#refused.has(port.key) || !equal(this.#plan.get(port.key), port)) changes.set(port.key, port);
    }
    return changes;
  }

  #take(services: readonly string[], changes: Changes): void {
    for (const [key, port] of changes)
      if (port) this.#plan.set(key, port);
      else this.#plan.delete(key);
    for (const service of services) {
      const known = new Set(this.#keys.get(service));
      for (const [key, port] of changes)
        if (port?.service === service) known.add(key);
        else if (!port) known.delete(key);
      if (known.size > 0) this.#keys.set(service, [...known]);
      else this.#keys.delete(service);
    }
  }

  #note(changes: Changes, refusals: readonly Refusal[]): void {
    const now = new Map(refusals.map(({ key, reason }) => [key, reason]));
    for (const key of changes.keys()) if (!now.has(key)) this.#refused.delete(key);
    for (const [key, reason] of now) {
      if (this.#refused.get(key) !== reason)
        this.#deps.log.warn({ port: key, reason }, 'a port of a Service cannot be served; the others are');
      this.#refused.set(key, reason);
    }
    if (refusals.length > 0) this.#deps.failed(refusals.length);
  }

  #retryRefused(): void {
    for (const key of this.#refused.keys()) this.#dirty.add(key.slice(0, key.indexOf(':')));
  }

  /** False when nothing came until it is time to try again what was refused. */
  #woken(signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (woken: boolean) => {
        clearTimeout(timer);
        signal.removeEventListener('abort', aborted);
        this.#wake = () => undefined;
        resolve(woken);
      };
      const aborted = () => done(true);
      const timer = setTimeout(() => done(false), this.#deps.retryMs);
      signal.addEventListener('abort', aborted, { once: true });
      this.#wake = () => done(true);
    });
  }
}
