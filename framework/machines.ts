import type { Schedule } from '../mesos/master.ts';
import type { InverseOffer } from '../mesos/offers.ts';
import type { Unavailability } from '../mesos/types.ts';
import type { Agent } from './agents.ts';
import { type Window, windowFor, windowOf } from './maintenance.ts';
import type { Roster } from './roster.ts';

/** What is known of the machines that will be away: from offers, inverse offers, the schedule and drains. `now` is in milliseconds. */
export class Machines {
  readonly #roster: Roster;

  constructor(roster: Roster) {
    this.#roster = roster;
  }

  /** An offer says it of its agent, or says nothing. */
  offered(agent: Agent, unavailability: Unavailability | undefined, now: number): void {
    this.#learn(agent, unavailability && windowOf(unavailability), now);
  }

  /** Mesos asks for what we hold there. Answers the nodes. */
  inverseOffered(offers: readonly InverseOffer[], now: number): string[] {
    return offers.flatMap(({ id, agent_id, unavailability }) => {
      const agent = this.#roster.agent(agent_id?.value ?? '');
      if (!agent) return [];
      agent.inverseOffers.add(id.value);
      this.#learn(agent, windowOf(unavailability), now);
      return [agent.name];
    });
  }

  inverseRescinded(offerId: string): void {
    for (const { inverseOffers } of this.#roster.agents) inverseOffers.delete(offerId);
  }

  /** Mesos drains the agent. Answers its node where that is news. */
  drains(agentId: string, now: number): string[] {
    const agent = this.#roster.agent(agentId);
    return agent?.drains(now) ? [agent.name] : [];
  }

  /** The master drains none of these. Those that have ended our executor, too, take pods again: answers their nodes. */
  drained(agentIds: readonly string[]): string[] {
    const over = agentIds
      .flatMap((id) => this.#roster.agent(id) ?? [])
      .filter(({ isDraining, executor }) => isDraining && !executor);
    for (const agent of over) agent.drained();
    return over.map(({ name }) => name);
  }

  /** Answers the nodes of which it says something else than was known. */
  scheduled(schedule: Schedule, now: number): string[] {
    return this.#roster.agents
      .filter((agent) => this.#learn(agent, windowFor(schedule, agent.facts), now))
      .map(({ name }) => name);
  }

  /** Time passes: windows begin and end. */
  look(now: number): void {
    for (const agent of this.#roster.agents) if (agent.maintenance) agent.look(now);
  }

  /** Nothing is left on the node that would not end with it. Answers the inverse offers that may be accepted now. */
  vacated(node: string): string[] {
    const { inverseOffers } = this.#roster.ofNode(node) ?? {};
    const ids = [...(inverseOffers ?? [])];
    inverseOffers?.clear();
    return ids;
  }

  #learn(agent: Agent, window: Window | undefined, now: number): boolean {
    const before = agent.maintenance;
    agent.maintenance = window;
    agent.look(now);
    return before?.start !== window?.start || before?.end !== window?.end;
  }
}
