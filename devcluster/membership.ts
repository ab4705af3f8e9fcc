/** Agents come, break off, are lost, return and are gone; and what that means for their tasks. */
import type { Task } from '../mesos/tasks.ts';
import { describeAgent } from './snapshot.ts';
import { forgetTask, addExecutor, addTask, keepUnreachable, removeExecutor } from './tasks.ts';
import { recoverFramework } from './frameworks.ts';
import { HttpAnswer } from './http.ts';
import { isDown } from './maintenance.ts';
import { dropAgentFilters, dropInverseOffers, rescindAll } from './offers.ts';
import { forgetOperations, settleOperations } from './operate.ts';
import { add } from './resources.ts';
import type { Agent, Framework, Master, Registration } from './state.ts';
import { isTerminal, masterStatus, moveTask, nowNanoseconds, partitionState, tell, type Told } from './status.ts';
import { tellOperators } from './operator-events.ts';

/** A new agent, or one that comes back. Undefined refuses it. */
export function register(master: Master, registration: Registration): string | undefined {
  const { registry } = master;
  if (registration.id !== undefined && registry.gone.has(registration.id)) return undefined;
  if (isDown(master, registration)) return undefined;
  const id = registration.id ?? `${master.info.id}-S${master.numbers.agent++}`;
  const before = master.agents.get(id);
  const wasUnreachable = registry.unreachable.delete(id);
  master.recovered.delete(id);
  const now = Date.now();
  const agent: Agent = {
    id,
    info: { ...registration.info, id: { value: id } },
    pid: registration.pid,
    link: registration.link,
    connected: true,
    partitioned: false,
    total: registration.total,
    used: [],
    offers: new Set(),
    registeredAt: before?.registeredAt ?? now,
    reregisteredAt: registration.id === undefined ? 0 : now,
    pings: undefined,
    free: undefined,
  };
  if (before) {
    clearTimeout(before.pings);
    rescindAll(master, { agent: before });
  }
  master.agents.set(id, agent);
  registry.admitted.set(id, agent.info);
  if (before) {
    agent.used = before.used;
    reconcileTasks(master, agent);
  } else {
    takeOver(master, agent, registration, wasUnreachable);
  }
  settleOperations(master, agent);
  master.log.info({ agent: id, hostname: agent.info.hostname }, 'An agent registered');
  master.allocateSoon(agent);
  return id;
}

/** A launch may have been lost with the connection. */
function reconcileTasks(master: Master, agent: Agent): void {
  for (const { info, tasks } of master.frameworks.values()) {
    const here = [...tasks.values()].filter(({ task }) => task.agent_id.value === agent.id && !isTerminal(task.state));
    const ids = here.map(({ task }) => task.task_id.value);
    if (ids.length > 0) agent.link.reconcile(info, ids);
  }
}

/**
 * What runs on an agent that comes back, or that a new master sees first, enters the books again. Operators hear of the agent
 * after the tasks of frameworks that are known, and before the others.
 */
function takeOver(master: Master, agent: Agent, registration: Registration, wasUnreachable: boolean): void {
  const { frameworks, tasks, executors } = registration;
  const isKnown = ({ framework_id }: Task) => master.frameworks.has(framework_id.value);
  const [known, others] = [tasks.filter(isKnown), tasks.filter((task) => !isKnown(task))];
  for (const task of known) addAgain(master, agent, task, wasUnreachable);
  const used = [...tasks.filter(({ state }) => !isTerminal(state)), ...executors]
    .map(({ resources = [] }) => resources)
    .reduce(add, []);
  tellOperators(master, { type: 'AGENT_ADDED', agent_added: { agent: describeAgent(master, { ...agent, used }) } });
  for (const info of frameworks) {
    const id = info.id!.value;
    if (master.completed.has(id)) agent.link.shutdownFramework(id);
    else if (!master.frameworks.has(id)) recoverFramework(master, info);
  }
  for (const task of others) addAgain(master, agent, task, wasUnreachable);
  for (const executor of executors) {
    const framework = master.frameworks.get(executor.framework_id!.value);
    if (framework) addExecutor(framework, agent, executor);
  }
}

function addAgain(master: Master, agent: Agent, task: Task, wasUnreachable: boolean): void {
  const framework = master.frameworks.get(task.framework_id.value);
  if (!framework) return;
  framework.unreachable.delete(task.task_id.value);
  addTask(master, framework, agent, { ...task });
  if (wasUnreachable)
    tell(framework, {
      taskId: task.task_id.value,
      agentId: agent.id,
      state: task.state,
      reason: 'REASON_AGENT_REREGISTERED',
      message: 'Unreachable agent re-reregistered',
      more: task.executor_id ? { executor_id: task.executor_id } : {},
    });
}

/** The connection to the agent broke. Its tasks go on, but not those of frameworks that do not checkpoint. */
export function disconnect(master: Master, agent: Agent): void {
  if (!agent.connected) return;
  agent.connected = false;
  rescindAll(master, { agent });
  for (const framework of master.frameworks.values()) {
    if (framework.info.checkpoint) continue;
    endTasks(master, framework, agent, () => ({
      state: 'TASK_LOST',
      reason: 'REASON_AGENT_DISCONNECTED',
      message: `Agent ${agent.info.hostname} disconnected`,
    }));
    removeExecutors(framework, agent);
  }
  awaitPings(master, agent);
}

/** From now on the agent answers no ping; when it stays so, it is unreachable. */
export function awaitPings(master: Master, agent: Agent): void {
  clearTimeout(agent.pings);
  agent.pings = setTimeout(() => markUnreachable(master, agent), master.timings.agentPingTimeout);
}

export function markUnreachable(master: Master, agent: Agent): void {
  if (master.agents.get(agent.id) !== agent) return;
  const nanoseconds = nowNanoseconds();
  master.registry.unreachable.set(agent.id, nanoseconds);
  for (const framework of master.frameworks.values())
    endTasks(
      master,
      framework,
      agent,
      () => ({
        state: partitionState(framework, 'TASK_UNREACHABLE'),
        reason: 'REASON_AGENT_REMOVED',
        message: 'health check timed out',
        more: { unreachable_time: { nanoseconds } },
      }),
      true,
    );
  dropAgent(master, agent);
}

/** The operator's word that it will not come back; unreachable agents too. */
export function markGone(master: Master, agentId: string): boolean {
  const { registry } = master;
  if (registry.gone.has(agentId)) return true;
  if (!registry.admitted.has(agentId)) return false;
  registry.gone.set(agentId, nowNanoseconds());
  registry.unreachable.delete(agentId);
  registry.drains.delete(agentId);
  registry.deactivated.delete(agentId);
  master.recovered.delete(agentId);
  const agent = master.agents.get(agentId);
  for (const framework of master.frameworks.values()) {
    if (agent) endTasks(master, framework, agent, () => goneByOperator(framework, 'Agent has been marked gone'));
    for (const task of [...framework.unreachable.values()].filter((t) => t.agent_id.value === agentId)) {
      framework.unreachable.delete(task.task_id.value);
      framework.completed.push(task);
      const told = { taskId: task.task_id.value, agentId, ...goneByOperator(framework, 'Agent has been marked gone') };
      if (framework.capabilities.has('PARTITION_AWARE')) moveTask(master, task, masterStatus(told));
      tell(framework, told);
    }
  }
  if (agent) {
    dropAgent(master, agent);
    agent.link.shutdown('Agent has been marked gone');
  }
  return true;
}

const goneByOperator = (framework: Framework, message: string): Omit<Told, 'taskId' | 'agentId'> =>
  framework.capabilities.has('PARTITION_AWARE')
    ? { state: 'TASK_GONE_BY_OPERATOR', reason: 'REASON_AGENT_REMOVED_BY_OPERATOR', message }
    : { state: 'TASK_LOST', reason: 'REASON_AGENT_REMOVED', message };

/** The agent ended in good order and said so. */
export function unregister(master: Master, agent: Agent): void {
  for (const framework of master.frameworks.values())
    endTasks(master, framework, agent, () => goneByOperator(framework, 'Agent unregistered'));
  master.registry.admitted.delete(agent.id);
  dropAgent(master, agent);
  tellOperators(master, { type: 'AGENT_REMOVED', agent_removed: { agent_id: { value: agent.id } } });
}

/** The machine goes down: the agent ends, and whatever ran there is lost. */
export function removeForMaintenance(master: Master, agent: Agent): void {
  const message = `Agent ${agent.info.hostname} removed: Operator initiated 'Machine DOWN'`;
  for (const framework of master.frameworks.values())
    endTasks(master, framework, agent, () => ({ state: 'TASK_LOST', reason: 'REASON_AGENT_REMOVED', message }));
  dropAgent(master, agent);
  tellOperators(master, { type: 'AGENT_REMOVED', agent_removed: { agent_id: { value: agent.id } } });
  agent.link.shutdown(message);
}

/** Its tasks go on, but nobody is offered anything of it. Throws an HttpAnswer in Mesos' words. */
export function deactivate(master: Master, agentId: string): void {
  const agent = master.agents.get(agentId);
  if (!agent) throw new HttpAnswer(400, 'Unknown agent');
  master.registry.deactivated.add(agentId);
  rescindAll(master, { agent });
}

export function reactivate(master: Master, agentId: string): void {
  if (!master.registry.deactivated.delete(agentId)) throw new HttpAnswer(400, 'Agent is not deactivated');
  const agent = master.agents.get(agentId);
  if (agent) master.allocateSoon(agent);
}

type Ending = () => Omit<Told, 'taskId' | 'agentId'>;

function endTasks(master: Master, framework: Framework, agent: Agent, ending: Ending, isUnreachable = false): void {
  for (const record of [...framework.tasks.values()]) {
    const { task } = record;
    if (task.agent_id.value !== agent.id) continue;
    if (!isTerminal(task.state)) {
      const told: Told = {
        taskId: task.task_id.value,
        agentId: agent.id,
        ...ending(),
      };
      if (task.executor_id) told.more = { ...told.more, executor_id: task.executor_id };
      const status = masterStatus(told);
      moveTask(master, task, status);
      framework.stream?.send({ type: 'UPDATE', update: { status } });
    }
    forgetTask(master, framework, record);
    if (isUnreachable) keepUnreachable(framework, framework.completed.pop()!);
  }
}

function removeExecutors(framework: Framework, agent: Agent): void {
  for (const { agent: agentId, info } of [...framework.executors.values()])
    if (agentId === agent.id) removeExecutor(framework, agent, info.executor_id.value);
}

function dropAgent(master: Master, agent: Agent): void {
  clearTimeout(agent.pings);
  rescindAll(master, { agent });
  master.agents.delete(agent.id);
  forgetOperations(master, { agentId: agent.id });
  dropInverseOffers(master, { agent });
  for (const framework of master.frameworks.values()) {
    removeExecutors(framework, agent);
    dropAgentFilters(framework, agent.id);
    framework.stream?.send({ type: 'FAILURE', failure: { agent_id: { value: agent.id } } });
  }
  master.log.info({ agent: agent.id }, 'An agent was removed');
}
