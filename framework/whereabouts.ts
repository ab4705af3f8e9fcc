import type { TaskStatus } from '../mesos/tasks.ts';
import type { Named } from './reconciliation.ts';

const interval = 30_000;
const noTask = 'km-whereabouts';

/**
 * Agents out of sight: will they come back? No event says so of an agent without tasks of ours that an operator declares
 * gone, but whoever asks for a task there, though there is none, is told what the master knows of the agent.
 */
export class Whereabouts {
  #nextAt = 0;

  /** An agent has just left, or a master is new: ask at the next occasion. */
  soon(): void {
    this.#nextAt = 0;
  }

  /** What to ask the master now. */
  due(outOfSight: () => Iterable<string>, now: number): Named[] {
    if (now < this.#nextAt) return [];
    this.#nextAt = now + interval;
    return [...outOfSight()].map((agentId) => ({ id: noTask, agentId }));
  }
}

export const isWhereabouts = (taskId: string): boolean => taskId === noTask;

/**
 * The agent that will not come back, if the update says so: an operator declared it gone, its machine was taken down (which is a
 * TASK_LOST even to who knows partitions), or it left. While it is being drained it is still there.
 */
export function goneAgentOf({ state, reason, agent_id }: TaskStatus): string | undefined {
  if (state === 'TASK_LOST') return reason === 'REASON_AGENT_REMOVED' ? agent_id?.value : undefined;
  if (state !== 'TASK_GONE_BY_OPERATOR') return undefined;
  return reason === 'REASON_AGENT_REMOVED_BY_OPERATOR' || reason === 'REASON_RECONCILIATION'
    ? agent_id?.value
    : undefined;
}

/** It tells of a drain that goes on on the agent. */
export const isOfDrain = ({ reason }: TaskStatus): boolean => reason === 'REASON_AGENT_DRAINING';
