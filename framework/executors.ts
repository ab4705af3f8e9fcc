import type { Offer } from '../mesos/offers.ts';
import type { ExecutorInfo } from '../mesos/tasks.ts';
import type { Agent } from './agents.ts';
import { executorId, hasExecutor, type ExecutorTemplate } from './launch.ts';
import type { Roster } from './roster.ts';
import type { TaskTable } from './tasks.ts';

/** What is known of our executors on agents: from launches, offers, the operator stream and failures. */
export class Executors {
  readonly #template: ExecutorTemplate;
  readonly #roster: Roster;
  readonly #tasks: TaskTable;

  constructor(template: ExecutorTemplate, roster: Roster, tasks: TaskTable) {
    this.#template = template;
    this.#roster = roster;
    this.#tasks = tasks;
  }

  /** One runs on the agent, exactly so. `frameworkId` is ours, '' while we have none. */
  runs(agentId: string, info: ExecutorInfo, frameworkId: string): void {
    const agent = this.#roster.agent(agentId);
    if (!agent || info.executor_id.value !== executorId(this.#template)) return;
    if (frameworkId !== '' && isOfAnother(info, frameworkId)) return;
    agent.executor = info;
    agent.refresh();
  }

  /** Those of another id end with what was torn down under it: no task of ours can go to them. */
  keepOf(frameworkId: string): void {
    for (const agent of this.#roster.agents) {
      if (!agent.executor || !isOfAnother(agent.executor, frameworkId)) continue;
      agent.executor = undefined;
      agent.refresh();
    }
  }

  /** Without ours on it the agent can take one: while it is drained it would drop every launch for as long as its old one is there. */
  offered(agent: Agent, offer: Offer): void {
    if (hasExecutor(offer, this.#template)) return;
    agent.drained();
    // With nothing of ours on its way to it, the next launch has to bring one.
    if (this.#tasks.onAgent(agent.facts.id).size === 0) agent.executor = undefined;
  }

  lost(agentId: string): void {
    const agent = this.#roster.agent(agentId);
    if (!agent) return;
    agent.executor = undefined;
    agent.refresh();
  }
}

const isOfAnother = ({ framework_id }: ExecutorInfo, frameworkId: string): boolean =>
  framework_id !== undefined && framework_id.value !== frameworkId;
