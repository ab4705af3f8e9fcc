import { Agent, type AgentFacts, type AgentOptions } from './agents.ts';
import { suffix } from './revocable.ts';
import type { Place } from './places.ts';

export interface RosterOptions extends AgentOptions {
  /** The Node that an agent of that id was given, now or before a restart. */
  nodeOf: (agentId: string) => string | undefined;
}

/** The agents there are, by id and by the name of their node. */
export class Roster {
  readonly #options: RosterOptions;
  readonly #byId = new Map<string, Agent>();
  readonly #byNode = new Map<string, Agent>();
  #agents: readonly Agent[] = [];
  /** By role. */
  readonly #places = new Map<string, readonly Place[]>();

  constructor(options: RosterOptions) {
    this.#options = options;
  }

  get agents(): readonly Agent[] {
    return this.#agents;
  }

  agent(id: string): Agent | undefined {
    return this.#byId.get(id);
  }

  ofNode(name: string): Agent | undefined {
    return this.#byNode.get(name);
  }

  /** Every node as pods of the role see it. */
  places(role: string): readonly Place[] {
    let places = this.#places.get(role);
    if (!places) this.#places.set(role, (places = this.#agents.map((agent) => agent.place(role))));
    return places;
  }

  /** A new agent, or news of a known one. */
  learn(facts: AgentFacts): Agent {
    const known = this.#byId.get(facts.id);
    if (known) {
      known.learn(facts);
      return known;
    }
    const agent = new Agent(this.#nodeName(facts), facts, this.#options);
    const before = this.#byNode.get(agent.name);
    if (before) agent.inherit(before);
    this.#byId.set(facts.id, agent);
    this.#byNode.set(agent.name, agent);
    this.#changed();
    return agent;
  }

  remove(agent: Agent): void {
    this.#byId.delete(agent.facts.id);
    if (this.#byNode.get(agent.name) === agent) this.#byNode.delete(agent.name);
    this.#changed();
  }

  #changed(): void {
    this.#agents = [...this.#byNode.values()];
    this.#places.clear();
  }

  /** The one that it had, or the host's name; a second agent on one host is told apart by its port, also while the first is cut off. */
  #nodeName({ id, hostname, port }: AgentFacts): string {
    const before = this.#options.nodeOf(id);
    if (before !== undefined) return before;
    const plain = `${hostname.toLowerCase()}${this.#options.isRevocable ? suffix : ''}`;
    const holder = this.#byNode.get(plain);
    return holder && holder.facts.port !== port ? `${plain}-${port}` : plain;
  }
}
