import type { Logger } from '../lib/log.ts';
import type { Call } from '../mesos/scheduler.ts';
import type { TaskStatus } from '../mesos/tasks.ts';
import { NotLaunched } from '../scheduler/index.ts';
import type { Calls } from './calls.ts';
import { type Effect, send } from './effects.ts';
import { whyNot } from './fates.ts';
import type { Homeless } from './homeless.ts';
import type { Named, Reconciliation } from './reconciliation.ts';
import { Repeats } from './repeats.ts';
import type { Roster } from './roster.ts';
import { type Task, type TaskTable, isStarted, isTerminalState } from './tasks.ts';
import { isWhereabouts } from './whereabouts.ts';

export interface TaskLifeParts {
  tasks: TaskTable;
  roster: Roster;
  homeless: Homeless;
  reconciliation: Reconciliation;
  /** Of the framework as it is subscribed now. */
  calls: () => Calls;
  log: Logger;
}

/**
 * What becomes of tasks that were sent, from what Mesos says of them to their end; and of seats that never were. Every method
 * answers what is to be done because of it.
 */
export class TaskLife {
  readonly #parts: TaskLifeParts;
  readonly #repeats = new Repeats();

  constructor(parts: TaskLifeParts) {
    this.#parts = parts;
  }

  /** What was not acknowledged comes again. */
  subscribed(): void {
    this.#repeats.clear();
  }

  updated(status: TaskStatus, now: number): Effect[] {
    if (this.#repeats.isOne(status, now)) return [];
    const { calls, reconciliation } = this.#parts;
    const next = reconciliation.answered(status.task_id.value);
    return [...send(...next.map((tasks) => calls().reconcile(tasks))), ...this.#told(status, now)];
  }

  #told(status: TaskStatus, now: number): Effect[] {
    const { calls, roster, tasks } = this.#parts;
    const ack = calls().acknowledge(status);
    const acked = send(ack);
    const task = tasks.get(status.task_id.value);
    if (isWhereabouts(status.task_id.value)) return acked;
    if (!task) return [...this.#killUnknown(status), ...acked];
    if (isTerminalState(status.state)) return this.#over(task, status, ack, now);
    if (status.state === 'TASK_UNREACHABLE') return [...this.#outOfReach(task, now), ...acked];
    if (isStarted(status.state)) roster.agent(task.agentId)?.found();
    // It may never have got the last KILL: its agent was cut off, or not back at a new master.
    if (task.cancelled) return [this.kill(Object.assign(task, { askedAt: now })), ...acked];
    if (!isStarted(status.state)) return acked;
    if (task.stage !== 'launching') return acked;
    task.stage = 'binding';
    this.#repeats.hold(status);
    return [{ do: 'bind', task, ack }];
  }

  /** What waited for something to be written down is acknowledged now. */
  acknowledged(ack: Call | undefined): void {
    if (ack?.type === 'ACKNOWLEDGE') this.#repeats.release(ack.acknowledge);
  }

  bound(task: Task, now: number): Effect[] {
    task.stage = 'bound';
    task.seat.resolve();
    if (task.rebound) this.#parts.homeless.housed(task.uid, now);
    return [...(task.cancelled ? [this.kill(task)] : []), ...this.#settled(task)];
  }

  /** The pod is gone, belongs elsewhere, or cannot have its volumes: the task has nothing to carry. */
  bindFailed(task: Task, why: string): Effect[] {
    task.cancelled = true;
    task.seat.reject(new NotLaunched(why));
    return [this.kill(task), ...this.#settled(task)];
  }

  kill(task: Named): Effect {
    return { do: 'call', call: this.#parts.calls().kill(task) };
  }

  /** Nothing runs for this seat: a pod that is not bound may be placed anew, one that is wants another seat here. */
  giveUp(task: Task, why: string, now: number): Effect[] {
    const { homeless } = this.#parts;
    this.#forget(task);
    task.seat.reject(new NotLaunched(why));
    if (task.rebound && task.pod && !task.cancelled) {
      homeless.housed(task.uid, now);
      homeless.add(task.pod, now);
    }
    return this.#settled(task);
  }

  #forget(task: Task): void {
    const { reconciliation, roster, tasks } = this.#parts;
    tasks.delete(task);
    reconciliation.answered(task.id);
    if (!task.rebound && task.stage !== 'bound') roster.agent(task.agentId)?.removePod(task.uid);
  }

  /** What is not bound has started nothing: it goes elsewhere, and the task is killed if it ever comes back. */
  #outOfReach(task: Task, now: number): Effect[] {
    if (task.stage !== 'launching' || task.rebound) return [];
    return this.giveUp(task, 'its Mesos agent cannot be reached', now);
  }

  #settled(task: Task): Effect[] {
    const record = this.#parts.tasks.settled(task);
    return record === undefined ? [] : [{ do: 'erase', record }];
  }

  #over(task: Task, status: TaskStatus, ack: Call | undefined, now: number): Effect[] {
    if (task.stage === 'bound' || task.stage === 'binding') {
      this.#forget(task);
      task.seat.resolve();
      // It is cancelled when its pod has gone, or could not be bound to it: nobody need look for it.
      if (task.cancelled) return [...this.#settled(task), ...send(ack)];
      this.#repeats.hold(status);
      return [...this.#settled(task), { do: 'ended', task, status, ack }];
    }
    const why = whyNot(status);
    this.#parts.log.info({ task: task.id, pod: task.key, why }, 'launch did not happen');
    return [...this.giveUp(task, why, now), ...send(ack)];
  }

  #killUnknown({ task_id, agent_id, state }: TaskStatus): Effect[] {
    if (isTerminalState(state) || state === 'TASK_UNREACHABLE') return [];
    this.#parts.log.info({ task: task_id.value, state }, 'killing a task that carries no pod of ours');
    return [this.kill({ id: task_id.value, agentId: agent_id?.value ?? '' })];
  }
}
