import type { Logger } from '../lib/log.ts';
import { MesosError } from '../mesos/errors.ts';
import type { Call, Event, ResponseGetAgentsAgent } from '../mesos/master.ts';
import { operatorApi } from '../mesos/session.ts';
import type { ExecutorInfo } from '../mesos/tasks.ts';
import type { AgentFacts } from './agents.ts';

/** What the inventory tells of agents; all synchronous. */
export interface InventoryListener {
  /** All agents have been told. */
  complete(): void;
  agent(facts: AgentFacts): void;
  /** Removed: unregistered, or its machine was taken down. */
  removed(agentId: string): void;
  /** Is being drained, or was and has not been reactivated. */
  drains(agentId: string): void;
  /** An executor that runs on an agent, exactly as it was launched. */
  executor(agentId: string, info: ExecutorInfo): void;
}

/**
 * The agents of the cluster, from the master's operator stream: all of them, also those that offer nothing now. Where we
 * may not read it, offers alone tell of agents.
 */
export class Inventory {
  readonly #log: Logger;
  readonly #listener: InventoryListener;
  readonly #nodeChanged = new Set<(node: string) => void>();
  #refused = false;
  #complete = false;

  constructor(listener: InventoryListener, log: Logger) {
    this.#listener = listener;
    this.#log = log;
  }

  /** Every agent that the master has is known. */
  get complete(): boolean {
    return this.#complete;
  }

  /** Somebody wants to know of nodes whose agent changed. */
  subscribe(add: (node: string) => void): void {
    this.#nodeChanged.add(add);
  }

  seen(nodes: readonly string[]): void {
    for (const add of this.#nodeChanged) for (const node of nodes) if (node) add(node);
  }

  /** Learnt elsewhere: the agent will not come back. */
  removed(agentId: string): void {
    this.#listener.removed(agentId);
  }

  readonly subscriber = {
    protocol: operatorApi,
    subscribe: (): Call => ({ type: 'SUBSCRIBE' }),
    up: (): void => {
      this.#refused = false;
    },
    event: (event: Event): void => this.#event(event),
    down: (reason: MesosError): void => {
      this.#complete = false;
      const forbidden = reason.code === 'forbidden' || reason.code === 'unauthorized';
      if (forbidden && !this.#refused)
        this.#log.warn(
          { err: reason },
          'may not read the operator API: agents become nodes only when they offer something',
        );
      else if (!forbidden) this.#log.debug({ err: reason }, 'the operator stream is down; trying again');
      this.#refused = forbidden;
    },
  };

  /** All agents, as the master has them now. */
  told(agents: readonly ResponseGetAgentsAgent[]): void {
    for (const agent of agents) this.#agent(agent);
  }

  #event(event: Event): void {
    if (event.type === 'SUBSCRIBED') {
      const state = event.subscribed.get_state;
      this.told(state?.get_agents?.agents ?? []);
      for (const { executor_info, agent_id } of state?.get_executors?.executors ?? [])
        this.#listener.executor(agent_id.value, executor_info);
      this.#complete = true;
      this.#listener.complete();
    } else if (event.type === 'AGENT_ADDED') {
      this.#agent(event.agent_added.agent);
    } else if (event.type === 'AGENT_REMOVED') {
      this.#listener.removed(event.agent_removed.agent_id.value);
    }
  }

  #agent({
    agent_info,
    pid,
    total_resources,
    active,
    deactivated,
    drain_info,
    capabilities = [],
  }: ResponseGetAgentsAgent): void {
    const id = agent_info.id?.value;
    // One that is deactivated runs its tasks, but is not active: nobody is offered anything of it.
    if (!id || !(active || deactivated)) return;
    // pid is `slave(1)@10.0.0.7:5051`.
    const address = /@\[?([^@\]]+)\]?:(\d+)$/.exec(pid ?? '');
    this.#listener.agent({
      id,
      hostname: agent_info.hostname,
      ip: address?.[1] ?? agent_info.hostname,
      port: Number(address?.[2] ?? agent_info.port ?? 5051),
      attributes: agent_info.attributes ?? [],
      domain: agent_info.domain,
      limits: capabilities.some(({ type }) => type === 'TASK_RESOURCE_LIMITS'),
      total: total_resources ?? agent_info.resources,
    });
    if (drain_info) this.#listener.drains(id);
  }
}
