/**
 * Draining: an agent is emptied, then it may be taken away.
 *
 *   DRAIN_AGENT ──▶ deactivated, DRAINING ──▶ agent: KILL to every task, launches are dropped
 *                        └── every task over and acknowledged, no operation pending ──▶ DRAINED, or marked gone
 *   REACTIVATE_AGENT ──▶ offered again; but the agent drops launches until its last executor has ended
 */
import type { CallDrainAgent } from '../mesos/master.ts';
import type { KillPolicy, TaskInfo, TaskStatus } from '../mesos/tasks.ts';
import type { DrainConfig, DurationInfo } from '../mesos/types.ts';
import { HttpAnswer } from './http.ts';
import { deactivate, markGone, reactivate } from './membership.ts';
import type { Agent, Master } from './state.ts';

const nano = 1_000_000_000n;

/** Throws an HttpAnswer in Mesos' words. */
export function startDrain(master: Master, { agent_id, max_grace_period, mark_gone = false }: CallDrainAgent): void {
  const { registry } = master;
  const id = agent_id.value;
  if (!registry.admitted.has(id) || registry.gone.has(id)) throw new HttpAnswer(400, 'Unknown agent');
  const grace: DurationInfo | undefined = max_grace_period && {
    nanoseconds: BigInt(max_grace_period.seconds ?? 0n) * nano + BigInt(max_grace_period.nanos ?? 0),
  };
  const config = { ...(grace ? { max_grace_period: grace } : {}), mark_gone };
  registry.drains.set(id, { info: { state: 'DRAINING', config }, since: Date.now() });
  registry.deactivated.add(id);
  const agent = master.agents.get(id);
  if (agent) deactivate(master, id);
  if (agent) sendDrain(master, agent);
  settleDrains(master);
}

/** To an agent that is here, or is back. */
export function sendDrain(master: Master, agent: Agent): void {
  const drain = master.registry.drains.get(agent.id);
  if (drain?.info.state === 'DRAINING' && !agent.partitioned) agent.link.drain(drain.info.config);
}

/** To be asked whenever a task or an operation may have come to its end. */
export function settleDrains(master: Master): void {
  for (const [id, { info }] of master.registry.drains) {
    if (info.state !== 'DRAINING' || !isEmpty(master, id)) continue;
    info.state = 'DRAINED';
    if (info.config.mark_gone) markGone(master, id);
  }
}

function isEmpty(master: Master, agentId: string): boolean {
  if (!master.agents.has(agentId)) return false;
  const hasTask = [...master.frameworks.values()].some(({ tasks }) =>
    [...tasks.values()].some(({ task }) => task.agent_id.value === agentId),
  );
  return !hasTask && ![...master.operations.values()].some(({ agent_id }) => agent_id?.value === agentId);
}

/** Throws an HttpAnswer in Mesos' words. */
export function endDrain(master: Master, agentId: string): void {
  const { drains } = master.registry;
  if (drains.get(agentId)?.info.state === 'DRAINING') throw new HttpAnswer(400, 'Agent is still in the DRAINING state');
  reactivate(master, agentId);
  drains.delete(agentId);
}

/** The task's own patience, or less. */
export function policyWithin(
  { max_grace_period: most }: DrainConfig,
  { kill_policy }: TaskInfo,
): KillPolicy | undefined {
  if (!most) return kill_policy;
  const own = kill_policy?.grace_period?.nanoseconds;
  const nanoseconds = own !== undefined && own < most.nanoseconds ? own : most.nanoseconds;
  return { grace_period: { nanoseconds } };
}

/** What an agent that is being drained makes of an update. */
export function drained(status: TaskStatus, { mark_gone }: DrainConfig, isPartitionAware: boolean): TaskStatus {
  if (status.state !== 'TASK_KILLING' && status.state !== 'TASK_KILLED') return status;
  const state = mark_gone && isPartitionAware ? 'TASK_GONE_BY_OPERATOR' : status.state;
  return { ...status, state, reason: 'REASON_AGENT_DRAINING' };
}
