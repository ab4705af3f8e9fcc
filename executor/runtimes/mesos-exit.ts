import type { ResponseWaitContainer } from '../../mesos/agent.ts';
import type { RuntimeContainer } from '../runtime.ts';

type Exit = { exitCode: number } & Pick<RuntimeContainer, 'reason' | 'message'>;

/** How a container ended, from its raw wait status: exit code times 256, or the number of a signal; −1 when it never started. */
export function exitOf(end: ResponseWaitContainer | undefined): Exit {
  if (!end)
    return {
      exitCode: 137,
      reason: 'ContainerStatusUnknown',
      message: 'the Mesos agent does not know this container any more, hence not how it ended',
    };
  const { exit_status: status, reason, message } = end;
  const said = message === undefined ? {} : { message };
  if (status === undefined || status < 0) return { exitCode: 128, reason: 'StartError', ...said };
  const signal = status & 0x7f;
  const exitCode = signal === 0 ? (status >> 8) & 0xff : 128 + signal;
  if (reason === 'REASON_CONTAINER_LIMITATION_MEMORY') return { exitCode, reason: 'OOMKilled', ...said };
  return { exitCode, reason: exitCode === 0 ? 'Completed' : 'Error', ...said };
}
