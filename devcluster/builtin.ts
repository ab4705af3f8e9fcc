/**
 * The executors that come with Mesos, played in this process: the command executor (one task, a command) and the
 * DEFAULT executor (groups of tasks). Their commands are real child processes.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ResponseGetContainersContainer } from '../mesos/agent.ts';
import type { Event } from '../mesos/executor.ts';
import type { Reason, TaskInfo, TaskState, TaskStatus } from '../mesos/tasks.ts';
import type { ContainerID } from '../mesos/types.ts';
import { newUuid } from '../mesos/uuid.ts';
import { Checks } from './checks.ts';
import { printStatus, runCommand, type Child } from './child.ts';
import { shown } from './containers.ts';
import { isTerminal, nowSeconds } from './status.ts';

export interface BuiltinOptions {
  executorId: string;
  /** Below it the tasks of the DEFAULT executor have containers of their own. */
  containerId: string;
  directory: string;
  /** Which of both. */
  kind: 'command' | 'default' | 'simulated';
  /** Whether the patience that a KILL names counts, beside that of the task. */
  heedsPolicy: boolean;
  /** Whether the framework wants to hear of TASK_KILLING. */
  tellsKilling: boolean;
  environment: Record<string, string>;
  update(status: TaskStatus): void;
  /** All is done; the status is raw. */
  ended(status: number): void;
}

/** How long the command executor stays after its last word. */
const linger = 1000;
const defaultGrace = 3000;

interface Running {
  task: TaskInfo;
  /** Nested, where it is not the executor's. */
  containerId: string | undefined;
  child: Child | undefined;
  checks: Checks | undefined;
  state: TaskState;
  reason: Reason | undefined;
  killed: boolean;
  timers: NodeJS.Timeout[];
  group: readonly TaskInfo[];
}

export class Builtin {
  readonly #options: BuiltinOptions;
  readonly #tasks = new Map<string, Running>();
  #over = false;

  constructor(options: BuiltinOptions) {
    this.#options = options;
  }

  deliver(event: Event): void {
    if (event.type === 'LAUNCH') this.#launch(event.launch.task, [event.launch.task]);
    else if (event.type === 'LAUNCH_GROUP') {
      const tasks = event.launch_group.task_group.tasks ?? [];
      for (const task of tasks) this.#launch(task, tasks);
    } else if (event.type === 'KILL') this.#kill(event.kill.task_id.value, event.kill.kill_policy?.grace_period);
    else if (event.type === 'SHUTDOWN') this.#shutdown();
    else if (event.type === 'ACKNOWLEDGED') this.#endWhenDone();
  }

  /** The containers of its tasks that run. */
  get nested(): ResponseGetContainersContainer[] {
    return [...this.#tasks.values()].flatMap(({ task, child, state, ...running }) => {
      const id = this.#containerOf(running);
      return id && child && !isTerminal(state) ? [shown(id, child.pid, task.resources ?? [])] : [];
    });
  }

  #containerOf({ containerId: value }: Pick<Running, 'containerId'>): ContainerID | undefined {
    return value === undefined ? undefined : { value, parent: { value: this.#options.containerId } };
  }

  /** As if the process of the executor were killed: its tasks die with it. */
  kill(status: number): void {
    for (const running of this.#tasks.values()) {
      running.timers.forEach(clearTimeout);
      running.checks?.stop();
      running.child?.killTree();
      running.state = 'TASK_KILLED';
    }
    this.#end(status);
  }

  #end(status: number): void {
    if (this.#over) return;
    this.#over = true;
    this.#options.ended(status);
  }

  #launch(task: TaskInfo, group: readonly TaskInfo[]): void {
    const { kind, directory, environment } = this.#options;
    const id = task.task_id.value;
    const running: Running = {
      task,
      containerId: kind === 'default' ? randomUUID() : undefined,
      child: undefined,
      checks: undefined,
      state: 'TASK_STAGING',
      reason: undefined,
      killed: false,
      timers: [],
      group,
    };
    this.#tasks.set(id, running);
    if (kind === 'simulated') {
      this.#say(running, 'TASK_STARTING');
      return this.#say(running, 'TASK_RUNNING');
    }
    const home = kind === 'command' ? directory : join(directory, 'tasks', id);
    mkdirSync(home, { recursive: true });
    const given = (task.command?.environment?.variables ?? []).map(({ name, value = '' }) => [name, value]);
    const env: Record<string, string> = {
      ...environment,
      MESOS_TASK_ID: id,
      MESOS_SANDBOX: home,
      ...Object.fromEntries(given),
    };
    running.checks = new Checks(task, {
      run: (command) => runCommand(command, home, env).ended,
      changed: (reason) => this.#say(running, 'TASK_RUNNING', undefined, reason),
      unhealthy: () => this.#kill(id, undefined),
    });
    this.#say(running, 'TASK_STARTING');
    running.child = runCommand(task.command ?? {}, home, env);
    void running.child.ended.then((status) => this.#exited(running, status));
    this.#limit(running);
    this.#say(running, 'TASK_RUNNING');
    running.checks.start();
  }

  #limit(running: Running): void {
    const longest = running.task.max_completion_time;
    if (!longest) return;
    const after = () => {
      running.reason = 'REASON_MAX_COMPLETION_TIME_REACHED';
      this.#stop(running, undefined);
    };
    running.timers.push(setTimeout(after, Number(longest.nanoseconds / 1_000_000n)));
  }

  #exited(running: Running, status: number): void {
    running.timers.forEach(clearTimeout);
    running.checks?.stop();
    if (this.#over || isTerminal(running.state)) return;
    const state = running.reason
      ? 'TASK_FAILED'
      : running.killed
        ? 'TASK_KILLED'
        : status === 0
          ? 'TASK_FINISHED'
          : 'TASK_FAILED';
    this.#say(running, state, `Command ${printStatus(status)}`);
    // A group stands or falls together.
    if (state === 'TASK_FAILED' && running.group.length > 1)
      for (const { task_id } of running.group) this.#kill(task_id.value, undefined);
  }

  #kill(taskId: string, grace: { nanoseconds: bigint } | undefined): void {
    const running = this.#tasks.get(taskId);
    if (!running || isTerminal(running.state) || running.killed) return;
    running.killed = true;
    running.checks?.stop();
    if (this.#options.tellsKilling) this.#say(running, 'TASK_KILLING');
    if (this.#options.kind === 'simulated') return this.#say(running, 'TASK_KILLED');
    // The command executor of Mesos does not look at it, unless it is the one that speaks HTTP.
    this.#stop(running, this.#options.heedsPolicy ? grace : undefined);
  }

  #stop(running: Running, grace: { nanoseconds: bigint } | undefined): void {
    const policy = grace ?? running.task.kill_policy?.grace_period;
    const wait = policy ? Number(policy.nanoseconds / 1_000_000n) : defaultGrace;
    running.child?.signal('SIGTERM');
    running.timers.push(setTimeout(() => running.child?.killTree(), wait));
  }

  #shutdown(): void {
    for (const { task } of this.#tasks.values()) this.#kill(task.task_id.value, undefined);
    this.#endWhenDone();
  }

  #endWhenDone(): void {
    if ([...this.#tasks.values()].some(({ state }) => !isTerminal(state))) return;
    if (this.#options.kind === 'command') setTimeout(() => this.#end(0), linger).unref();
    else if (this.#options.kind === 'default') setTimeout(() => this.#endIfStillDone(), linger).unref();
  }

  #endIfStillDone(): void {
    if ([...this.#tasks.values()].every(({ state }) => isTerminal(state))) this.#end(0);
  }

  #say(
    running: Running,
    state: TaskState,
    message?: string,
    reason = isTerminal(state) ? running.reason : undefined,
  ): void {
    running.state = state;
    const container_id = this.#containerOf(running);
    this.#options.update({
      task_id: running.task.task_id,
      state,
      source: 'SOURCE_EXECUTOR',
      executor_id: { value: this.#options.executorId },
      timestamp: nowSeconds(),
      uuid: newUuid(),
      ...(message === undefined ? {} : { message }),
      ...(reason === undefined ? {} : { reason }),
      ...running.checks?.status(state),
      ...(container_id ? { container_status: { container_id } } : {}),
    });
  }
}
