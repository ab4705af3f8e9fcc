import { question } from '../mesos/executor-info.ts';
import type { Offer } from '../mesos/offers.ts';
import type { Call } from '../mesos/scheduler.ts';
import type { ExecutorInfo } from '../mesos/tasks.ts';
import type { Agent } from './agents.ts';
import type { Calls } from './calls.ts';
import { executorId, hasExecutor, type ExecutorTemplate } from './launch.ts';
import type { Roster } from './roster.ts';
import type { TaskTable } from './tasks.ts';

/** Milliseconds after which an executor that was asked is asked again, and after which it is of a km that does not answer. */
const again = 1_000;
const patience = 10_000;

interface Asked {
  since: number;
  last: number;
}

/** What is known of our executors on agents: from launches, offers, the operator stream, failures, and from themselves. */
export class Executors {
  readonly #template: ExecutorTemplate;
  readonly #roster: Roster;
  readonly #tasks: TaskTable;
  /** Agents with one of which nobody has told how it was launched. */
  readonly #asked = new Map<Agent, Asked>();

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
    this.#settled(agent);
  }

  /**
   * There is a master again to ask through. Those of another id end with what was torn down under it: no task of ours can go to
   * them.
   */
  subscribed(frameworkId: string, now: number): void {
    for (const asked of this.#asked.values()) Object.assign(asked, { since: now, last: -Infinity });
    for (const agent of this.#roster.agents) {
      if (!agent.executor || !isOfAnother(agent.executor, frameworkId)) continue;
      agent.executor = undefined;
      agent.refresh();
    }
  }

  /** Without ours on it the agent can take one: while it is drained it would drop every launch for as long as its old one is there. */
  offered(agent: Agent, offer: Offer, now: number): void {
    if (hasExecutor(offer, this.#template)) {
      if (agent.executor || this.#asked.has(agent)) return;
      this.#asked.set(agent, { since: now, last: -Infinity });
      agent.executorIsUnknown = true;
      return agent.refresh();
    }
    agent.drained();
    // With nothing of ours on its way to it, the next launch has to bring one.
    if (this.#tasks.onAgent(agent.facts.id).size > 0) return;
    agent.executor = undefined;
    if (this.#asked.has(agent)) this.#settled(agent);
  }

  lost(agentId: string): void {
    const agent = this.#roster.agent(agentId);
    if (!agent) return;
    agent.executor = undefined;
    this.#settled(agent);
  }

  /** Asks those of which nobody has told how they were launched: until it is known nothing is launched there. */
  ask(calls: Calls, now: number): (Call | undefined)[] {
    return [...this.#asked].map(([agent, asked]) => {
      if (this.#roster.agent(agent.facts.id) !== agent) return void this.#asked.delete(agent);
      if (!agent.executorIsUnknown) return undefined;
      if (now - asked.since >= patience) {
        // As we would have launched it; Mesos says so where it was otherwise.
        agent.executorIsUnknown = false;
        return void agent.refresh();
      }
      if (now - asked.last < again) return undefined;
      asked.last = now;
      return calls.message(agent.facts.id, executorId(this.#template), question);
    });
  }

  #settled(agent: Agent): void {
    this.#asked.delete(agent);
    agent.executorIsUnknown = false;
    agent.refresh();
  }
}

const isOfAnother = ({ framework_id }: ExecutorInfo, frameworkId: string): boolean =>
  framework_id !== undefined && framework_id.value !== frameworkId;
