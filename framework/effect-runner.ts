import { type Pod, isTerminal } from '../api/kinds/pod.ts';
import type { Stored } from '../api/meta.ts';
import type { EventRecorder } from '../client/events.ts';
import type { Logger } from '../lib/log.ts';
import type { Call, Event } from '../mesos/scheduler.ts';
import type { Session } from '../mesos/session.ts';
import type { TaskStatus } from '../mesos/tasks.ts';
import type { Bindings } from './bindings.ts';
import type { Effect, Launch } from './effects.ts';
import { type Fate, fateOf, saidOf } from './fates.ts';
import type { Figures } from './figures.ts';
import { Inboxes } from './inboxes.ts';
import { type Persisted, persist } from './persist.ts';
import type { Records } from './records.ts';
import type { State } from './state.ts';
import type { Task } from './tasks.ts';

export interface EffectRunnerParts {
  bindings: Bindings;
  events: EventRecorder;
  records: Records;
  state: State;
  figures: Figures;
  /** Milliseconds seats are gathered before they leave in one ACCEPT per agent. */
  gather: number;
  log: Logger;
  signal: AbortSignal;
  now: () => number;
}

/** Does what State says is to be done: calls to the master, writes to the apiserver; what comes of them goes back into State. */
export class EffectRunner {
  readonly #parts: EffectRunnerParts;
  readonly #changed: () => void;
  /** Work on one task goes in order: a binding before the end that follows it. */
  readonly #work = new Inboxes();
  #session: Session<Call, Event> | undefined;
  #gathering: NodeJS.Timeout | undefined;

  /** `changed` is told when a pod has lost its place. */
  constructor(parts: EffectRunnerParts, changed: () => void) {
    this.#parts = parts;
    this.#changed = changed;
    parts.signal.addEventListener('abort', () => clearTimeout(this.#gathering));
  }

  get isUp(): boolean {
    return this.#session !== undefined;
  }

  up(session: Session<Call, Event>): void {
    this.#session = session;
  }

  down(): void {
    this.#session = undefined;
  }

  run(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.do === 'call') this.#call(effect.call);
      else if (effect.do === 'bind') this.#work.add(effect.task.uid, () => this.#bind(effect.task, effect.ack));
      else if (effect.do === 'ended')
        this.#work.add(effect.task.uid, () => this.#ended(effect.task, effect.status, effect.ack));
      else void this.persist('erase a launch record', () => this.#parts.records.erase(effect.record));
    }
  }

  launchSoon(): void {
    this.#gathering ??= setTimeout(() => {
      this.#gathering = undefined;
      const launches = this.#parts.state.takeLaunches(this.#parts.now());
      for (const [record, together] of Map.groupBy(launches, (launch) => launch.record))
        void this.#launch(record, together);
    }, this.#parts.gather);
  }

  /** The pod ends as Failed; one that has ended already stays as it is. */
  async fail(pod: Pod & Stored, { reason, message }: Fate): Promise<void> {
    const { bindings, events } = this.#parts;
    if (isTerminal(pod)) return;
    events.record({ apiVersion: 'v1', kind: 'Pod', ...pod }, 'Warning', reason, message);
    await this.persist('mark a pod as failed', () => bindings.fail(pod, reason, message));
  }

  persist<T>(what: string, action: () => Promise<T>): Promise<Persisted<T>> {
    return persist(what, action, this.#parts);
  }

  /** Calls leave in the order of this method's calls; one that fails with its connection is settled by reconciliation. */
  #call(call: Call | undefined): void {
    const session = this.#session;
    if (!call || !session) return;
    this.#parts.figures.call(call);
    session.call(call).catch((err: unknown) => {
      if (this.#session !== session) return;
      this.#parts.log.warn({ err, call: call.type }, 'the Mesos master did not take a call');
      if (call.type !== 'UPDATE_FRAMEWORK') return;
      // What it still holds back is not known: a new subscription is without constraints, and stays so.
      this.#parts.state.cannotNarrow();
      session.close();
    });
  }

  #acknowledge(ack: Call | undefined): void {
    this.#parts.state.acknowledged(ack);
    this.#call(ack);
  }

  async #launch(record: string, launches: readonly Launch[]): Promise<void> {
    const { records, state, log, now } = this.#parts;
    const session = this.#session;
    const giveBack = (why: string) => {
      for (const launch of launches) this.run(state.notRecorded(launch, why, now()));
    };
    try {
      await records.write(record, launches);
    } catch (err) {
      const nodes = launches.map(({ agent }) => agent.name);
      log.warn({ err, nodes }, 'could not record launches; their pods go back to the queue');
      return giveBack('the launch could not be recorded');
    }
    if (!session || this.#session !== session) return giveBack('the connection to the Mesos master was lost');
    for (const launch of launches) this.run(state.recorded(launch, now()));
  }

  /** Binds, or tells a bound pod its new task, until the apiserver has said yes or no; acknowledges afterwards. */
  async #bind(task: Task, ack: Call | undefined): Promise<void> {
    const { bindings, figures, state, now } = this.#parts;
    const began = now();
    const outcome = await this.persist('bind a pod', () =>
      task.rebound ? bindings.rename(task) : bindings.create(task),
    );
    if (!outcome.done && outcome.stopped) return;
    figures.bound(now() - began);
    const refusal = outcome.done ? outcome.value : 'the apiserver refused the binding';
    this.run(refusal === undefined ? state.bound(task, now()) : state.bindFailed(task, refusal));
    this.#acknowledge(ack);
  }

  /** The pod itself says whether its end is as it should be, or its task was lost under it. */
  async #ended(task: Task, status: TaskStatus, ack: Call | undefined): Promise<void> {
    const { bindings, state, log, now } = this.#parts;
    const message = saidOf(status);
    const seen = await this.persist('see what became of a pod', async () => {
      const pod = await bindings.read(task);
      if (!pod || isTerminal(pod)) return state.podEnded(task.uid);
      log.info({ pod: task.key, task: task.id, state: status.state, message }, 'a bound pod lost its task');
      const fate = fateOf(status);
      if (fate) return this.fail(pod, fate);
      this.run(state.addHomeless(pod, now()));
    });
    if (!seen.done && seen.stopped) return;
    this.#acknowledge(ack);
    this.#changed();
  }
}
