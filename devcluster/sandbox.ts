/** Where an agent keeps the files of its executors, laid out as Mesos does, and the environment that they get. */
import { mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutorInfo } from '../mesos/tasks.ts';
import type { FrameworkInfo } from '../mesos/types.ts';
import { printDuration } from './resource-text.ts';
import type { Timings } from './timings.ts';

export interface Place {
  workDir: string;
  agentId: string;
  frameworkId: string;
  executorId: string;
  containerId: string;
}

export const sandboxOf = ({ workDir, agentId, frameworkId, executorId, containerId }: Place): string =>
  join(workDir, 'slaves', agentId, 'frameworks', frameworkId, 'executors', executorId, 'runs', containerId);

/** Makes it, with `latest` beside it. */
export function makeSandbox(place: Place): string {
  const directory = sandboxOf(place);
  mkdirSync(directory, { recursive: true });
  const latest = join(directory, '..', 'latest');
  rmSync(latest, { force: true });
  symlinkSync(directory, latest);
  return directory;
}

export interface Surroundings {
  framework: FrameworkInfo;
  executor: ExecutorInfo;
  directory: string;
  agentId: string;
  /** `ip:port` */
  endpoint: string;
  timings: Timings;
  httpCommandExecutor: boolean;
  /** `--executor_environment_variables` */
  extra: Record<string, string>;
}

export const gracePeriod = (executor: ExecutorInfo, timings: Timings): number =>
  executor.shutdown_grace_period
    ? Number(executor.shutdown_grace_period.nanoseconds / 1_000_000n)
    : timings.executorShutdownGracePeriod;

export function executorEnvironment(around: Surroundings): Record<string, string> {
  const { framework, executor, directory, agentId, endpoint, timings, httpCommandExecutor, extra } = around;
  const given = (executor.command?.environment?.variables ?? []).map(({ name, value = '' }) => [name, value]);
  return {
    ...extra,
    LIBPROCESS_IP: endpoint.replace(/:\d+$/, ''),
    LIBPROCESS_PORT: '0',
    MESOS_FRAMEWORK_ID: framework.id!.value,
    MESOS_EXECUTOR_ID: executor.executor_id.value,
    MESOS_DIRECTORY: directory,
    MESOS_SANDBOX: directory,
    MESOS_SLAVE_ID: agentId,
    MESOS_SLAVE_PID: `slave(1)@${endpoint}`,
    MESOS_AGENT_ENDPOINT: endpoint,
    MESOS_CHECKPOINT: framework.checkpoint ? '1' : '0',
    MESOS_HTTP_COMMAND_EXECUTOR: httpCommandExecutor ? '1' : '0',
    MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD: printDuration(gracePeriod(executor, timings)),
    ...(framework.checkpoint
      ? {
          MESOS_RECOVERY_TIMEOUT: printDuration(timings.recoveryTimeout),
          MESOS_SUBSCRIPTION_BACKOFF_MAX: printDuration(timings.executorReregistrationTimeout),
        }
      : {}),
    ...(Object.fromEntries(given) as Record<string, string>),
  };
}

/** Commands run as the user of this process, but a user that this machine does not have is refused as in Mesos. */
export const isUser = (name: string): boolean =>
  readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .some((line) => line.startsWith(`${name}:`));
