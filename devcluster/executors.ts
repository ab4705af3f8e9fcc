/**
 * The life of one executor on an agent.
 *
 *   registering ── it subscribed ──▶ running ── SHUTDOWN, or its end is decided ──▶ terminating ──▶ terminated
 *       └── fetching, starting, waiting; work is queued
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { delay } from '../lib/delay.ts';
import type { ResponseGetContainersContainer } from '../mesos/agent.ts';
import type { Event } from '../mesos/executor.ts';
import type { ExecutorInfo, KillPolicy, Reason, Task, TaskInfo, TaskState, TaskStatus } from '../mesos/tasks.ts';
import type { FrameworkInfo } from '../mesos/types.ts';
import { newUuid } from '../mesos/uuid.ts';
import type { Authentication } from './authentication.ts';
import { Builtin } from './builtin.ts';
import { runCommand, type Child } from './child.ts';
import { fetchAll } from './fetcher.ts';
import type { RecordStream } from './http.ts';
import { printDuration } from './resource-text.ts';
import { executorEnvironment, gracePeriod, makeSandbox } from './sandbox.ts';
import type { Work } from './state.ts';
import { isTerminal, nowSeconds } from './status.ts';
import { taskOf } from './tasks.ts';
import type { Timings } from './timings.ts';
import { capabilitiesOf } from './validate-call.ts';
import { linkVolumes } from './volumes.ts';

/** What an executor needs of its agent. */
export interface Host {
  readonly agentId: string;
  readonly endpoint: string;
  readonly workDir: string;
  readonly timings: Timings;
  readonly simulated: boolean;
  readonly httpCommandExecutor: boolean;
  readonly environment: Record<string, string>;
  /** Gives executors their tokens. */
  readonly authentication: Authentication | undefined;
  /** To the status update manager. */
  update(executor: Executor, status: TaskStatus): void;
  /** The process is gone; FAILURE and the last updates are told after it. */
  ended(executor: Executor, status: number): void;
}

interface Verdict {
  state: TaskState;
  reason: Reason;
  message: string;
}

interface TaskEntry {
  info: TaskInfo;
  task: Task;
  /** Whether an update for it was acknowledged by the framework. */
  acknowledged: boolean;
}

export class Executor {
  readonly info: ExecutorInfo;
  readonly containerId = randomUUID();
  readonly kind: 'custom' | 'command' | 'default' | 'simulated';
  framework: FrameworkInfo;
  directory = '';
  state: 'registering' | 'running' | 'terminating' | 'terminated' = 'registering';
  tasks = new Map<string, TaskEntry>();
  readonly #host: Host;
  #queue: Work[] = [];
  #stream: RecordStream<Event> | undefined;
  #builtin: Builtin | undefined;
  #child: Child | undefined;
  #registration: NodeJS.Timeout | undefined;
  #grace: NodeJS.Timeout | undefined;
  #stop = new AbortController();
  #sentWork = false;
  #isAwaited = false;
  /** Why its tasks fail when it ends. */
  #verdict: Verdict | undefined;

  constructor(host: Host, framework: FrameworkInfo, info: ExecutorInfo, kind: Executor['kind']) {
    this.#host = host;
    this.framework = framework;
    this.info = info;
    this.kind = host.simulated ? 'simulated' : kind;
  }

  get frameworkId(): string {
    return this.framework.id!.value;
  }

  get id(): string {
    return this.info.executor_id.value;
  }

  /** The containers of its tasks, where it is the DEFAULT executor. */
  get nested(): ResponseGetContainersContainer[] {
    return this.#builtin?.nested ?? [];
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Takes work: at once when it runs, after its SUBSCRIBE when it does not yet. */
  give(work: Work): void {
    for (const info of work.tasks) {
      const task = taskOf(info, this.frameworkId, this.kind === 'command' ? undefined : this.id);
      this.tasks.set(info.task_id.value, { info, task, acknowledged: false });
    }
    this.#linkVolumes(work.tasks);
    if (this.state === 'running') this.#deliverWork(work);
    else this.#queue.push(work);
  }

  /** The containers of the default executor's tasks have sandboxes of their own, which stay without. */
  #linkVolumes(tasks: readonly TaskInfo[]): void {
    if (this.directory === '' || this.kind === 'default') return;
    const resources = [...(this.info.resources ?? []), ...tasks.flatMap((task) => task.resources ?? [])];
    linkVolumes(this.#host.workDir, this.directory, resources);
  }

  /** Fetches and starts; the clock for its SUBSCRIBE ticks from now on. */
  async start(): Promise<void> {
    if (this.kind === 'simulated') return this.#startBuiltin();
    const { workDir, agentId, timings } = this.#host;
    const { containerId, frameworkId, id: executorId } = this;
    this.directory = makeSandbox({ workDir, agentId, frameworkId, executorId, containerId });
    this.#linkVolumes([...this.tasks.values()].map(({ info }) => info));
    const limit = timings.executorRegistrationTimeout;
    this.#registration = setTimeout(() => {
      const message = `Executor did not register within ${printDuration(limit)}`;
      this.#condemn({ state: 'TASK_FAILED', reason: 'REASON_EXECUTOR_REGISTRATION_TIMEOUT', message });
    }, limit);
    const uris = this.info.command?.uris ?? [];
    try {
      await fetchAll(uris, this.directory, join(workDir, 'fetch'), this.#stop.signal);
    } catch (error) {
      if (this.state === 'terminated') return;
      const message = `Failed to launch container: Failed to fetch all URIs for container '${containerId}': exited with status 1`;
      this.#verdict = { state: 'TASK_FAILED', reason: 'REASON_CONTAINER_LAUNCH_FAILED', message };
      this.fetchError = error as Error;
      return this.#ended(-1);
    }
    if (this.state === 'terminated') return;
    if (this.kind === 'custom') return this.#startProcess();
    await delay(timings.builtinExecutorStart, this.#stop.signal).catch(() => undefined);
    if (!this.#stop.signal.aborted) this.#startBuiltin();
  }

  fetchError: Error | undefined;

  #startProcess(): void {
    const { containerId: cid, id: eid, frameworkId: fid } = this;
    const token = this.#host.authentication?.tokenOf({ cid, eid, fid });
    const shown = token === undefined ? {} : { MESOS_EXECUTOR_AUTHENTICATION_TOKEN: token };
    this.#child = runCommand(this.info.command ?? {}, this.directory, { ...this.environment, ...shown });
    void this.#child.ended.then((status) => this.#ended(status));
  }

  get environment(): Record<string, string> {
    const { agentId, endpoint, timings, httpCommandExecutor, environment: extra } = this.#host;
    const { framework, info: executor, directory } = this;
    return executorEnvironment({
      ...{ framework, executor, directory, agentId, endpoint, timings, httpCommandExecutor, extra },
    });
  }

  #startBuiltin(): void {
    this.#builtin = new Builtin({
      executorId: this.id,
      containerId: this.containerId,
      directory: this.directory,
      kind: this.kind === 'custom' ? 'default' : this.kind,
      heedsPolicy: this.kind !== 'command' || this.#host.httpCommandExecutor,
      tellsKilling: capabilitiesOf(this.framework).has('TASK_KILLING_STATE'),
      environment: this.kind === 'simulated' ? {} : this.environment,
      update: (status) => this.#host.update(this, status),
      ended: (status) => this.#ended(status),
    });
    this.subscribed(undefined, undefined);
  }

  /** A stream was opened by its process, or it lives in ours. A second stream closes the first. */
  subscribed(stream: RecordStream<Event> | undefined, hello: Event | undefined): void {
    clearTimeout(this.#registration);
    this.#isAwaited = false;
    const before = this.#stream;
    this.#stream = stream;
    before?.destroy();
    stream?.onClose(() => {
      if (this.#stream === stream) this.#stream = undefined;
    });
    if (this.state === 'registering') this.state = 'running';
    // Everything it was started for was killed meanwhile.
    if (!this.#sentWork && this.#queue.length === 0) return this.shutdown();
    if (hello) this.send(hello);
    for (const work of this.#queue.splice(0)) this.#deliverWork(work);
  }

  send(event: Event): void {
    if (this.#builtin) this.#builtin.deliver(event);
    else this.#stream?.send(event);
  }

  #deliverWork({ tasks, isGroup }: Work): void {
    this.#sentWork = true;
    if (isGroup) this.send({ type: 'LAUNCH_GROUP', launch_group: { task_group: { tasks } } });
    else for (const task of tasks) this.send({ type: 'LAUNCH', launch: { task } });
  }

  kill(taskId: string, policy: KillPolicy | undefined): void {
    const work = this.#queue.find(({ tasks }) => tasks.some((task) => task.task_id.value === taskId));
    if (!work)
      return this.send({
        type: 'KILL',
        kill: { task_id: { value: taskId }, ...(policy ? { kill_policy: policy } : {}) },
      });
    this.#queue.splice(this.#queue.indexOf(work), 1);
    const message = work.isGroup
      ? 'A task within the task group was killed before delivery to the executor'
      : 'Killed before delivery to the executor';
    const verdict: Verdict = { state: 'TASK_KILLED', reason: 'REASON_TASK_KILLED_DURING_LAUNCH', message };
    // For a task alone the executor goes on starting, to be told to end; for a group Mesos gives it up.
    const isIdle = this.#queue.length === 0 && !this.#sentWork;
    if (work.isGroup && isIdle && !this.#child && !this.#builtin) {
      this.#verdict ??= verdict;
      return this.#ended(-1);
    }
    for (const task of work.tasks) this.#say(task, verdict);
  }

  /** Asks it to end, and ends it when it does not. */
  shutdown(): void {
    if (this.state === 'terminating' || this.state === 'terminated') return;
    const wasRunning = this.state === 'running';
    this.state = 'terminating';
    if (!wasRunning) return this.destroy();
    this.send({ type: 'SHUTDOWN' });
    this.#grace = setTimeout(() => this.destroy(), gracePeriod(this.info, this.#host.timings));
  }

  /** Kills all its processes. */
  destroy(): void {
    this.#stop.abort();
    if (this.#builtin) this.#builtin.kill(9);
    else if (this.#child) this.#child.killTree();
    else this.#ended(-1);
  }

  #condemn(verdict: Verdict): void {
    this.#verdict ??= verdict;
    this.state = 'terminating';
    this.destroy();
  }

  /** The QoS controller wants its resources back. */
  preempt(): void {
    const state = capabilitiesOf(this.framework).has('PARTITION_AWARE') ? 'TASK_GONE' : 'TASK_LOST';
    const message = 'Container preempted by QoS correction';
    this.#condemn({ state, reason: 'REASON_CONTAINER_PREEMPTED', message });
  }

  /** The agent restarted, and counts on it to come back. */
  awaitReturn(): void {
    this.#stream?.destroy();
    this.#stream = undefined;
    this.#isAwaited = this.kind === 'custom' && this.state === 'running';
  }

  /** The time to come back is over. */
  endIfAway(): void {
    if (!this.#isAwaited || this.state !== 'running') return;
    const state = capabilitiesOf(this.framework).has('PARTITION_AWARE') ? 'TASK_GONE' : 'TASK_LOST';
    const message = `Executor did not reregister within ${printDuration(this.#host.timings.executorReregistrationTimeout)}`;
    this.#condemn({ state, reason: 'REASON_EXECUTOR_REREGISTRATION_TIMEOUT', message });
  }

  /** Tasks of which it knows nothing after the agent's restart never reached it. */
  dropUnknown(known: ReadonlySet<string>): void {
    const isAware = capabilitiesOf(this.framework).has('PARTITION_AWARE');
    const message = 'Task launched during agent restart';
    for (const { info, task } of this.tasks.values())
      if (task.state === 'TASK_STAGING' && !known.has(info.task_id.value))
        this.#say(info, { state: isAware ? 'TASK_DROPPED' : 'TASK_LOST', reason: 'REASON_AGENT_RESTARTED', message });
  }

  #ended(status: number): void {
    if (this.state === 'terminated') return;
    this.state = 'terminated';
    clearTimeout(this.#registration);
    clearTimeout(this.#grace);
    this.#stop.abort();
    this.#stream?.destroy();
    this.#queue = [];
    // Whatever the executor left behind in its session goes with it.
    this.#child?.killTree();
    this.#host.ended(this, status);
    const verdict = this.#verdict ?? {
      state: 'TASK_FAILED' as const,
      reason: 'REASON_EXECUTOR_TERMINATED' as const,
      message: 'Executor terminated',
    };
    for (const { info, task } of this.tasks.values()) if (!isTerminal(task.state)) this.#say(info, verdict);
  }

  #say(task: TaskInfo, { state, reason, message }: Verdict): void {
    this.#host.update(this, {
      task_id: task.task_id,
      state,
      reason,
      message,
      source: 'SOURCE_AGENT',
      executor_id: { value: this.id },
      timestamp: nowSeconds(),
      uuid: newUuid(),
    });
  }

  /** Stops clocks and processes without a word: the devcluster ends. */
  abandon(): void {
    clearTimeout(this.#registration);
    clearTimeout(this.#grace);
    this.state = 'terminated';
    this.#stop.abort();
    this.#child?.killTree();
    this.#builtin?.kill(9);
  }
}
