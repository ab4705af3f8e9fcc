import type { TaskStatus } from '../mesos/tasks.ts';
import { isOfDrain } from './whereabouts.ts';

/** Why a pod fails with its task, for those to read who look at the pod. */
export interface Fate {
  reason: string;
  message: string;
}

/**
 * What Mesos says of a status, in one line. That of an ExecutorInfo which does not fit the one that runs goes on with both of
 * them in full, and with what only executors may know: neither pods nor logs get to see more.
 */
export const saidOf = ({ message }: TaskStatus): string | undefined => message?.split('\n', 1)[0];

/** Of a task that never started. */
export function whyNot(status: TaskStatus): string {
  const [reason, message] = [status.reason, saidOf(status)];
  return `Mesos says ${status.state}${reason ? ` (${reason})` : ''}${message ? `: ${message}` : ''}`;
}

/** The pod's agent is gone, and will not come back. */
export const goneWith = (node: string): Fate => ({
  reason: 'NodeLost',
  message: `the Mesos agent of node ${node} is gone`,
});

/** How a bound pod ends whose task ended so; undefined where it may have another task on its node. */
export function fateOf(status: TaskStatus): Fate | undefined {
  if (status.state === 'TASK_GONE_BY_OPERATOR')
    return { reason: 'NodeLost', message: 'an operator declared the Mesos agent gone' };
  if (status.reason === 'REASON_CONTAINER_PREEMPTED')
    return { reason: 'Preempted', message: `Mesos took back what the pod used: ${saidOf(status) ?? 'revoked'}` };
  return isOfDrain(status) ? { reason: 'NodeLost', message: 'an operator drains the Mesos agent' } : undefined;
}
