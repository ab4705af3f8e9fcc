import type { EventSubscribed } from '../mesos/executor.ts';
import type { Call, Event } from '../mesos/executor.ts';
import { MesosError } from '../mesos/errors.ts';
import { answerOf, isQuestion } from '../mesos/executor-info.ts';
import { type Session, executorApi, openSession } from '../mesos/session.ts';
import type { ExecutorInfo, TaskStatus } from '../mesos/tasks.ts';
import { delay } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import type { MesosEnv } from './mesos-env.ts';
import type { TaskAction, TaskEvent, Tasks } from './tasks.ts';

export interface ExecutorOptions {
  mesos: MesosEnv;
  tasks: Tasks;
  /** Called whenever the agent has told who we are, and what it has: after its restart it may have more. */
  subscribed(info: EventSubscribed): void;
  /** What the decisions ask for, other than updates and the exit. */
  act(action: Exclude<TaskAction, { type: 'update' | 'exit' }>): void;
  /** Ends every subscription; nothing is killed by it. */
  signal: AbortSignal;
  log: Logger;
}

/** How long before the end of Mesos' grace we want to be gone, ms. */
const margin = 1_000;
const tickEvery = 1_000;

/**
 * The shell of the v1 executor protocol: events in, decisions by Tasks, calls out in order; and the subscription, which
 * is opened again as long as Mesos would have us back.
 */
export class Executor {
  readonly #options: ExecutorOptions;
  readonly #ending = new AbortController();
  #session: Session<Call, Event> | undefined;
  /** How we were launched. */
  #info: ExecutorInfo | undefined;

  constructor(options: ExecutorOptions) {
    this.#options = options;
  }

  /** Resolves with why the executor should exit. */
  async run(): Promise<string> {
    const { signal } = this.#options;
    const ticking = setInterval(() => this.on({ type: 'tick' }), tickEvery);
    const stop = () => this.#ending.abort('the executor was stopped');
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    try {
      await this.#stayConnected();
      return String(this.#ending.signal.reason);
    } finally {
      clearInterval(ticking);
      signal.removeEventListener('abort', stop);
      this.#session?.close();
    }
  }

  /** Something happened; what follows from it is done at once. */
  on(event: TaskEvent): void {
    const { tasks, act } = this.#options;
    for (const action of tasks.on(event, Date.now())) {
      if (action.type === 'update') this.#send(action.status);
      else if (action.type === 'exit') this.#ending.abort(action.why);
      else act(action);
    }
  }

  async #stayConnected(): Promise<void> {
    const { mesos, log } = this.#options;
    const { signal } = this.#ending;
    let lostAt = performance.now();
    while (!signal.aborted) {
      try {
        await this.#subscribe();
        lostAt = performance.now();
        log.warn('the agent ended the subscription');
      } catch (err) {
        if (signal.aborted) return;
        if (this.#session) lostAt = performance.now();
        log.warn({ err }, 'no subscription with the agent');
        if (err instanceof MesosError && !err.retryable)
          return void (await this.#giveUp(`the agent refuses this executor: ${err.message}`));
      }
      this.#session = undefined;
      if (signal.aborted) return;
      if (!mesos.checkpoint)
        return void (await this.#giveUp('the agent is gone, and the framework does not checkpoint'));
      if (performance.now() - lostAt > mesos.recoveryTimeout)
        return void (await this.#giveUp('the agent did not come back in time'));
      await delay(Math.random() * mesos.backoffMax, signal).catch(() => undefined);
    }
  }

  async #subscribe(): Promise<void> {
    const { mesos, tasks } = this.#options;
    const ids = this.#ids();
    const session = await openSession({
      url: mesos.agentUrl,
      socketPath: mesos.socketPath,
      protocol: executorApi,
      subscribe: { type: 'SUBSCRIBE', ...ids, subscribe: tasks.subscription() },
      credentials: mesos.token === undefined ? undefined : { token: mesos.token },
      signal: this.#ending.signal,
    });
    this.#session = session;
    for await (const event of session.events) this.#take(event);
  }

  #take(event: Event): void {
    const { log, mesos } = this.#options;
    switch (event.type) {
      case 'SUBSCRIBED': {
        const { subscribed } = event;
        this.#info = subscribed.executor_info;
        const knowsKilling = (subscribed.framework_info.capabilities ?? []).some(
          (c) => c.type === 'TASK_KILLING_STATE',
        );
        this.on({ type: 'subscribed', knowsKilling });
        this.#options.subscribed(subscribed);
        log.info({ agent: mesos.agentId }, 'subscribed with the agent');
        return;
      }
      case 'LAUNCH':
        log.info({ task: event.launch.task.task_id.value }, 'task launched');
        return this.on({ type: 'launch', task: event.launch.task });
      case 'LAUNCH_GROUP':
        for (const task of event.launch_group.task_group.tasks ?? []) this.on({ type: 'launch', task });
        return;
      case 'KILL': {
        const grace = event.kill.kill_policy?.grace_period?.nanoseconds;
        log.info({ task: event.kill.task_id.value }, 'task is to be killed');
        return this.on({
          type: 'kill',
          taskId: event.kill.task_id.value,
          graceSeconds: grace === undefined ? undefined : Number(grace) / 1e9,
        });
      }
      case 'ACKNOWLEDGED':
        return this.on({
          type: 'acknowledged',
          taskId: event.acknowledged.task_id.value,
          uuid: event.acknowledged.uuid,
        });
      case 'SHUTDOWN':
        log.info('the agent asks us to shut down');
        return this.#shutDown();
      case 'ERROR':
        log.error({ message: event.error.message }, 'the agent reports an error; this executor cannot go on');
        return this.#shutDown();
      case 'MESSAGE':
        return this.#answer(event.message.data);
      case 'HEARTBEAT':
      case 'UNKNOWN':
        return;
    }
  }

  /** A scheduler that took over; it asks again where the answer is lost. */
  #answer(data: Uint8Array): void {
    if (!this.#info || !isQuestion(data)) return;
    const { log } = this.#options;
    this.#session
      ?.call({ type: 'MESSAGE', ...this.#ids(), message: { data: answerOf(this.#info) } })
      .catch((err: unknown) => log.warn({ err }, 'could not tell the scheduler how this executor was launched'));
  }

  #shutDown(): void {
    const { shutdownGrace } = this.#options.mesos;
    this.on({ type: 'shutdown', graceSeconds: Math.max(0, shutdownGrace - margin - 500) / 1000 });
    const late = setTimeout(
      () => this.#ending.abort('the time for a shutdown is over'),
      Math.max(500, shutdownGrace - margin),
    );
    this.#ending.signal.addEventListener('abort', () => clearTimeout(late), { once: true });
  }

  /** Mesos would not have us back: the tasks are lost to it, so they end. */
  async #giveUp(reason: string): Promise<void> {
    const { tasks, mesos } = this.#options;
    this.on({ type: 'shutdown', graceSeconds: Math.max(0, mesos.shutdownGrace - margin) / 1000 });
    const end = performance.now() + mesos.shutdownGrace;
    while (tasks.live > 0 && performance.now() < end) await delay(50);
    this.#ending.abort(reason);
  }

  /** What cannot be sent now goes along with the next subscription. */
  #send(status: TaskStatus): void {
    const session = this.#session;
    if (!session) return;
    session.call({ type: 'UPDATE', ...this.#ids(), update: { status } }).catch((err: unknown) => {
      if (this.#ending.signal.aborted) return;
      this.#options.log.warn(
        { err, task: status.task_id.value },
        'an update did not reach the agent; subscribing again',
      );
      session.close();
    });
  }

  #ids() {
    const { executorId, frameworkId } = this.#options.mesos;
    return { executor_id: { value: executorId }, framework_id: { value: frameworkId } };
  }
}
