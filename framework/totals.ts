import { equal } from '../lib/equal.ts';
import type { AgentTotal } from './leftovers.ts';
import type { State } from './state.ts';

/** What known agents have, as the master has it now: no event says that one came back with more than before. */
export function followTotals(state: State, agents: readonly AgentTotal[]): void {
  for (const { id, total } of agents) {
    const agent = state.agent(id);
    if (!agent) continue;
    const before = agent.ofMesos;
    state.learnAgent({ ...agent.facts, total });
    if (!equal(before, agent.ofMesos)) agent.refresh();
  }
}
