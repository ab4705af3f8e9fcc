/** What an executor finds out about a running task by commands: its check (an exit code) and its health check. */
import type { CommandInfo, Reason, TaskInfo, TaskState, TaskStatus } from '../mesos/tasks.ts';

export interface ChecksHost {
  /** Runs a command beside the task and gives its raw wait status. */
  run(command: CommandInfo): Promise<number>;
  /** A result that the framework wants to hear. */
  changed(reason: Reason): void;
  /** It failed too often. */
  unhealthy(): void;
}

const usual = { delay: 15, interval: 10, grace: 10, failures: 3 };

export class Checks {
  readonly #task: TaskInfo;
  readonly #host: ChecksHost;
  readonly #timers = new Set<NodeJS.Timeout>();
  #exitCode: number | undefined;
  #healthy: boolean | undefined;
  #failures = 0;

  constructor(task: TaskInfo, host: ChecksHost) {
    this.#task = task;
    this.#host = host;
  }

  start(): void {
    const { check, health_check: health } = this.#task;
    const command = check?.command?.command;
    if (check && command) this.#repeat(check, command, (status) => this.#checked(status));
    const started = Date.now();
    if (health?.command) this.#repeat(health, health.command, (status) => this.#tested(status === 0, started));
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#exitCode = undefined;
  }

  /** What a status of the task says of its checks; while it is being killed nothing of its health. */
  status(state: TaskState): Partial<TaskStatus> {
    const type = this.#task.check?.type;
    return {
      ...(this.#healthy === undefined || state === 'TASK_KILLING' ? {} : { healthy: this.#healthy }),
      ...(type === 'COMMAND'
        ? { check_status: { type, command: this.#exitCode === undefined ? {} : { exit_code: this.#exitCode } } }
        : {}),
    };
  }

  #repeat(
    {
      delay_seconds = usual.delay,
      interval_seconds = usual.interval,
    }: { delay_seconds?: number; interval_seconds?: number },
    command: CommandInfo,
    done: (status: number) => void,
  ): void {
    const after = (seconds: number) => {
      const timer = setTimeout(() => {
        void this.#host.run(command).then((status) => {
          if (!this.#timers.delete(timer)) return;
          done(status);
          after(interval_seconds);
        });
      }, seconds * 1000);
      this.#timers.add(timer);
    };
    after(delay_seconds);
  }

  #checked(status: number): void {
    const code = status >> 8;
    if (code === this.#exitCode) return;
    this.#exitCode = code;
    this.#host.changed('REASON_TASK_CHECK_STATUS_UPDATED');
  }

  #tested(isHealthy: boolean, started: number): void {
    const { grace_period_seconds = usual.grace, consecutive_failures = usual.failures } = this.#task.health_check!;
    const isEarly = this.#healthy === undefined && Date.now() - started < grace_period_seconds * 1000;
    if (!isHealthy && isEarly) return;
    this.#failures = isHealthy ? 0 : this.#failures + 1;
    const isNews = !isHealthy || this.#healthy !== true;
    this.#healthy = isHealthy;
    if (isNews) this.#host.changed('REASON_TASK_HEALTH_CHECK_STATUS_UPDATED');
    if (this.#failures >= consecutive_failures) this.#host.unhealthy();
  }
}
