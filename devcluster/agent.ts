/**
 * One agent: executors and their tasks, the updates on their way, and an HTTP server for both.
 *
 *   master ◀──link──▶ agent ◀──/api/v1/executor──▶ executor processes
 */
import { delay } from '../lib/delay.ts';
import type { KillPolicy, TaskStatus } from '../mesos/tasks.ts';
import type { AgentInfo, DrainConfig, FrameworkInfo, Resource } from '../mesos/types.ts';
import { newUuid } from '../mesos/uuid.ts';
import type { AgentOptions } from './agent-options.ts';
import { routeAgent } from './agent-views.ts';
import { commandExecutor } from './command-executor.ts';
import { Containers, type Parent } from './containers.ts';
import { drained, policyWithin } from './drain.ts';
import { Executor, type Host } from './executors.ts';
import { handleExecutor } from './executor-api.ts';
import { Holdings } from './holdings.ts';
import { listen, type Listening } from './http.ts';
import { asRevocable } from './oversubscription.ts';
import { type Reconfiguration, reconfigured } from './reconfiguration.ts';
import { isUser, sandboxOf } from './sandbox.ts';
import type { AgentLink, MasterLink, Registration, Work } from './state.ts';
import { isTerminal, keepStatus, nowSeconds } from './status.ts';
import { Updates } from './updates.ts';
import { capabilitiesOf } from './validate-call.ts';
import { unlinkVolumes } from './volumes.ts';

export class Agent {
  readonly options: AgentOptions;
  readonly executors = new Map<string, Executor>();
  readonly frameworks = new Map<string, FrameworkInfo>();
  id: string | undefined;
  /** What may be used besides, revocable. */
  estimate: Resource[];
  /** What its flags say. */
  #resources: Resource[];
  #listening: Listening | undefined;
  #port = 0;
  #master: MasterLink | undefined;
  #updates: Updates<TaskStatus>;
  readonly #holdings: Holdings;
  readonly containers: Containers;
  #drain: DrainConfig | undefined;
  /** Cut off from its master in both directions. */
  partitioned = false;
  /** Back, and waiting for its executors before it registers again. */
  #recovering = false;
  /** Not running: between a crash and its restart, or ended for good. */
  down = true;

  constructor(options: AgentOptions) {
    this.options = options;
    this.estimate = asRevocable(options.oversubscribed);
    const { timings, simulated, workDir, resources } = options;
    this.#resources = resources;
    this.containers = new Containers({ workDir, executor: (containerId) => this.#parentAt(containerId) });
    this.#updates = new Updates({
      timings,
      subject: ({ task_id }) => task_id.value,
      uuid: ({ uuid }) => uuid,
      forward: (frameworkId, status, latest) =>
        this.#send((master, id) => master.update(id, frameworkId, status, latest.state)),
    });
    this.#holdings = new Holdings({
      resources,
      workDir: simulated ? undefined : workDir,
      timings,
      agentId: () => this.id!,
      forward: (frameworkId, status) => this.#send((master, id) => master.operationStatus(id, frameworkId, status)),
    });
  }

  /** Late and more than once, where faults want it so. */
  #send(tell: (master: MasterLink, id: string) => void): void {
    const { delay, copies } = this.options.mischief;
    const send = () => {
      for (let i = 0; i < copies; i++)
        if (this.id !== undefined && this.#master && !this.partitioned && !this.#recovering)
          tell(this.#master, this.id);
    };
    if (delay > 0) setTimeout(send, delay).unref();
    else send();
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get info(): AgentInfo {
    const { hostname, attributes, domain } = this.options;
    return {
      hostname,
      port: this.#port,
      resources: this.#resources,
      ...(attributes.length > 0 ? { attributes } : {}),
      ...(domain ? { domain } : {}),
      ...(this.id === undefined ? {} : { id: { value: this.id } }),
    };
  }

  async start(): Promise<void> {
    this.down = false;
    if (this.options.simulated) {
      this.#port ||= this.options.port;
      return;
    }
    this.#listening = await listen(this.#port || this.options.port, (request) => {
      const path = request.path.replace(/^\/slave\(1\)(?=\/)/, '');
      const who = this.options.authentication?.atAgent(path, request);
      if (path.startsWith('/api/v1/executor')) handleExecutor(this.#desk(), request, who);
      else return routeAgent(this, path, request, who);
    });
    this.#port = this.#listening.port;
  }

  /** There is a master to register with, or a new one, or none. */
  join(master: MasterLink | undefined): void {
    this.#master = master;
    if (!master || this.down || this.partitioned || this.#recovering) return;
    const registration: Registration = {
      info: this.info,
      id: this.id,
      pid: `slave(1)@127.0.0.1:${this.#port}`,
      link: this.#link(),
      total: [...this.#holdings.total, ...this.estimate],
      ...this.#running(),
    };
    const id = master.register(registration);
    if (id === undefined) return this.stop();
    this.id = id;
    this.#updates.resend();
    this.#holdings.resend();
  }

  /** What goes on here, for a master that does not know it. */
  #running(): Pick<Registration, 'tasks' | 'executors' | 'frameworks'> {
    const live = [...this.executors.values()].filter(({ state }) => state !== 'terminated');
    const custom = live.filter(({ kind, info }) => kind !== 'command' && info.command?.value !== undefined);
    return {
      tasks: live.flatMap((executor) => [...executor.tasks.values()].map(({ task }) => task)),
      executors: custom.map(({ info }) => info),
      frameworks: [...this.frameworks.values()],
    };
  }

  #link(): AgentLink {
    return {
      run: (work) => this.#run(work),
      kill: (frameworkId, taskId, policy) => this.#kill(frameworkId, taskId, policy),
      acknowledge: (frameworkId, taskId, uuid) => this.#acknowledged(frameworkId, taskId, uuid),
      message: (frameworkId, executorId, data) => {
        this.#executor(frameworkId, executorId)?.send({ type: 'MESSAGE', message: { data } });
      },
      shutdownExecutor: (frameworkId, executorId) => this.#executor(frameworkId, executorId)?.shutdown(),
      shutdownFramework: (frameworkId) => this.#shutdownFramework(frameworkId),
      frameworkChanged: (info) => {
        if (this.frameworks.has(info.id!.value)) this.frameworks.set(info.id!.value, info);
        for (const executor of this.executors.values())
          if (executor.frameworkId === info.id!.value) executor.framework = info;
      },
      operate: (order) => this.#holdings.operate(order),
      acknowledgeOperation: (frameworkId, operationId, uuid) =>
        this.#holdings.acknowledge(frameworkId, operationId, uuid),
      settleOperation: (frameworkId, operationId) => this.#holdings.settle(frameworkId, operationId),
      drain: (config) => this.#startDrain(config),
      reconcile: (framework, taskIds) => this.#reconcile(framework, taskIds),
      shutdown: () => this.stop(),
    };
  }

  /** Undefined once its last executor has ended. */
  get drain(): DrainConfig | undefined {
    if (this.executors.size === 0) this.#drain = undefined;
    return this.#drain;
  }

  #startDrain(config: DrainConfig): void {
    this.#drain = config;
    for (const executor of this.executors.values())
      for (const [taskId, { info }] of executor.tasks) executor.kill(taskId, policyWithin(config, info));
  }

  #parentAt(containerId: string): Parent | undefined {
    const runs = (one: Executor) => one.containerId === containerId && one.state !== 'terminated';
    const found = [...this.executors.values()].find(runs);
    if (!found || found.directory === '') return undefined;
    return { directory: found.directory, environment: found.environment, workingDirectory: found.directory };
  }

  #executor(frameworkId: string, executorId: string): Executor | undefined {
    return this.executors.get(`${frameworkId}/${executorId}`);
  }

  #run(work: Work): void {
    const frameworkId = work.framework.id!.value;
    this.frameworks.set(frameworkId, work.framework);
    const info = work.executor ?? commandExecutor(work, frameworkId);
    if (this.drain) {
      const message = 'Task was received while agent was already draining';
      for (const { task_id } of work.tasks)
        this.#disown(work.framework, {
          task_id,
          executor_id: info.executor_id,
          reason: 'REASON_AGENT_DRAINING',
          message,
        });
      return;
    }
    const known = this.#executor(frameworkId, info.executor_id.value);
    if (known && known.state !== 'terminated') {
      if (!work.executor)
        return this.#drop(
          known,
          work,
          'REASON_TASK_INVALID',
          'Cannot reuse an already existing executor for a command task',
        );
      if (known.state === 'terminating')
        return this.#drop(known, work, 'REASON_EXECUTOR_TERMINATED', 'Executor terminating');
      return known.give(work);
    }
    const kind = !work.executor ? 'command' : work.executor.type === 'DEFAULT' ? 'default' : 'custom';
    const executor = new Executor(this.#host(), work.framework, info, kind);
    const user = (work.tasks[0]?.command ?? work.executor?.command)?.user;
    if (user !== undefined && !isUser(user)) {
      const { workDir } = this.options;
      const { containerId, id: executorId } = executor;
      const directory = sandboxOf({ workDir, agentId: this.id!, frameworkId, executorId, containerId });
      const why = `Failed to chown directory to '${user}': No such user '${user}'`;
      const message = `Failed to create executor directory '${directory}': ${why}`;
      return this.#drop(executor, work, 'REASON_EXECUTOR_TERMINATED', message);
    }
    this.executors.set(`${frameworkId}/${executor.id}`, executor);
    executor.give(work);
    void executor.start().then(
      () =>
        executor.fetchError &&
        this.options.log.warn({ err: executor.fetchError }, 'A URI of an executor could not be fetched'),
      (err: unknown) => {
        this.options.log.error({ err, executor: executor.id }, 'An executor could not be started');
        executor.destroy();
      },
    );
  }

  /** A launch that cannot be: the tasks never were. */
  #drop(executor: Executor, work: Work, reason: NonNullable<TaskStatus['reason']>, message: string): void {
    const state = capabilitiesOf(work.framework).has('PARTITION_AWARE') ? 'TASK_DROPPED' : 'TASK_LOST';
    for (const { task_id } of work.tasks)
      this.#update(executor, {
        task_id,
        state,
        reason,
        message,
        source: 'SOURCE_AGENT',
        executor_id: executor.info.executor_id,
        timestamp: nowSeconds(),
        uuid: newUuid(),
      });
  }

  /** The task never was here. */
  #disown(framework: FrameworkInfo, task: Pick<TaskStatus, 'task_id' | 'reason' | 'message' | 'executor_id'>): void {
    this.#updates.add(framework.id!.value, {
      ...task,
      state: capabilitiesOf(framework).has('PARTITION_AWARE') ? 'TASK_DROPPED' : 'TASK_LOST',
      source: 'SOURCE_AGENT',
      agent_id: { value: this.id! },
      timestamp: nowSeconds(),
      uuid: newUuid(),
    });
  }

  #kill(frameworkId: string, taskId: string, policy: KillPolicy | undefined): void {
    const isIts = (executor: Executor) => executor.frameworkId === frameworkId && executor.tasks.has(taskId);
    const executor = [...this.executors.values()].find(isIts);
    const framework = this.frameworks.get(frameworkId);
    if (executor) executor.kill(taskId, policy);
    else if (framework)
      this.#disown(framework, {
        task_id: { value: taskId },
        reason: 'REASON_EXECUTOR_TERMINATED',
        message: 'Cannot find executor',
      });
  }

  /** The master has tasks of this agent in its books that it may never have got. */
  #reconcile(framework: FrameworkInfo, taskIds: readonly string[]): void {
    const known = [...this.executors.values()].filter(({ frameworkId }) => frameworkId === framework.id!.value);
    for (const value of taskIds)
      if (!known.some(({ tasks }) => tasks.has(value)))
        this.#disown(framework, {
          task_id: { value },
          reason: 'REASON_RECONCILIATION',
          message: 'Reconciliation: task unknown to the agent',
        });
  }

  #acknowledged(frameworkId: string, taskId: string, uuid: Uint8Array): void {
    const status = this.#updates.acknowledge(frameworkId, taskId, uuid);
    if (!status) return;
    if (isTerminal(status.state)) this.#updates.forget(frameworkId, taskId);
    for (const executor of this.executors.values()) {
      const entry = executor.frameworkId === frameworkId ? executor.tasks.get(taskId) : undefined;
      if (!entry) continue;
      entry.acknowledged = true;
      if (!isTerminal(status.state)) continue;
      executor.tasks.delete(taskId);
      if (
        executor.state === 'terminated' &&
        executor.tasks.size === 0 &&
        this.#executor(frameworkId, executor.id) === executor
      )
        this.executors.delete(`${frameworkId}/${executor.id}`);
    }
  }

  #shutdownFramework(frameworkId: string): void {
    this.#updates.forget(frameworkId);
    this.#holdings.forget(frameworkId);
    this.frameworks.delete(frameworkId);
    for (const executor of this.executors.values()) if (executor.frameworkId === frameworkId) executor.shutdown();
  }

  #host(): Host {
    const { workDir, timings, environment, simulated, httpCommandExecutor, authentication } = this.options;
    return {
      agentId: this.id!,
      endpoint: `127.0.0.1:${this.#port}`,
      workDir,
      timings,
      environment,
      simulated,
      httpCommandExecutor,
      authentication,
      update: (executor, status) => this.#update(executor, status),
      ended: (executor, status) => this.#ended(executor, status),
    };
  }

  #desk() {
    return {
      info: this.info,
      hasFramework: (id: string) => [...this.executors.values()].some((executor) => executor.frameworkId === id),
      executor: (frameworkId: string, executorId: string) => this.#executor(frameworkId, executorId),
      update: (executor: Executor, status: TaskStatus) => this.#update(executor, status),
      message: (executor: Executor, data: Uint8Array) => {
        if (!this.partitioned) this.#master?.executorMessage(this.id!, executor.frameworkId, executor.id, data);
      },
    };
  }

  #update(executor: Executor, told: TaskStatus): void {
    const { frameworkId, containerId, pid } = executor;
    const isAware = capabilitiesOf(executor.framework).has('PARTITION_AWARE');
    const given = this.#drain ? drained(told, this.#drain, isAware) : told;
    const status: TaskStatus = {
      timestamp: nowSeconds(),
      ...given,
      agent_id: { value: this.id! },
      container_status: {
        container_id: { value: containerId },
        network_infos: [{ ip_addresses: [{ protocol: 'IPv4', ip_address: '127.0.0.1' }] }],
        ...(pid === undefined ? {} : { executor_pid: pid }),
        ...given.container_status,
      },
    };
    const task = executor.tasks.get(given.task_id.value)?.task;
    if (task && !isTerminal(task.state)) {
      keepStatus(task, status);
      task.status_update_state = status.state;
      if (status.uuid) task.status_update_uuid = status.uuid;
      if (isTerminal(status.state) && executor.directory !== '')
        unlinkVolumes(executor.directory, task.resources ?? []);
    }
    // That of a framework that has gone is heard by nobody.
    if (!this.frameworks.has(frameworkId)) return;
    this.#updates.add(frameworkId, status);
    // Of a task that it never got it hears no more.
    if (given.source !== 'SOURCE_EXECUTOR' || !status.uuid || !task) return;
    // The update is safe here: the executor may forget it.
    setImmediate(() => {
      executor.send({ type: 'ACKNOWLEDGED', acknowledged: { task_id: given.task_id, uuid: status.uuid! } });
    });
  }

  #ended(executor: Executor, status: number): void {
    this.options.log.info({ executor: executor.id, status }, 'An executor ended');
    void this.containers.forget(executor.containerId);
    if (executor.tasks.size === 0 && this.#executor(executor.frameworkId, executor.id) === executor)
      this.executors.delete(`${executor.frameworkId}/${executor.id}`);
    if (executor.kind === 'command' || this.partitioned || this.down || this.#recovering) return;
    this.#master?.executorEnded(this.id!, executor.frameworkId, executor.id, status);
  }

  /** SIGKILL to the agent process: streams break, executors go on. */
  crash(): void {
    if (this.down) return;
    this.down = true;
    this.#listening?.close();
    this.#listening = undefined;
    if (!this.partitioned) this.#master?.disconnected(this.id!);
  }

  /**
   * It comes back with what it checkpointed: executors of frameworks without checkpoint end, for those that it has it waits
   * before it registers. What nobody acknowledged is told twice then.
   */
  async restart(master: MasterLink | undefined, changed?: Reconfiguration): Promise<void> {
    this.crash();
    if (changed) this.#holdings.reconfigure((this.#resources = reconfigured(this.#resources, changed)));
    for (const executor of [...this.executors.values()]) {
      // Which update was the last is not checkpointed with the task.
      for (const { task } of executor.tasks.values()) {
        delete task.status_update_state;
        delete task.status_update_uuid;
      }
      if (executor.framework.checkpoint) executor.awaitReturn();
      else {
        executor.abandon();
        void this.containers.forget(executor.containerId);
        this.executors.delete(`${executor.frameworkId}/${executor.id}`);
      }
    }
    this.#master = master;
    const waits = (this.#recovering = this.executors.size > 0);
    await this.start();
    if (waits) await delay(this.options.timings.executorReregistrationTimeout);
    this.#recovering = false;
    this.join(this.#master);
    if (!waits || this.down) return;
    this.#updates.resend();
    for (const executor of this.executors.values()) executor.endIfAway();
  }

  /** Ends it and its executors for good. */
  stop(): void {
    this.down = true;
    this.#listening?.close();
    this.#listening = undefined;
    this.#updates.stop();
    this.#holdings.stop();
    for (const executor of this.executors.values()) executor.abandon();
    this.containers.stop();
  }

  /** Says goodbye to the master first. */
  leave(): void {
    this.stop();
    if (this.id !== undefined) this.#master?.unregister(this.id);
  }
}
