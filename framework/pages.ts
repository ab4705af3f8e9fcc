import { timestamp } from '../api/meta.ts';
import type { Page } from '../client/door.ts';
import type { Figures, OfferRecord } from './figures.ts';
import type { Framework } from './framework.ts';
import type { State } from './state.ts';

/** What an operator may look at and ask for, at the scheduler's own port. */
export const pagesOf = (framework: Framework, state: State, figures: Figures): Readonly<Record<string, Page>> => ({
  '/debug/offers': {
    method: 'GET',
    answer() {
      const { inHand, history } = figures.offers();
      return { inHand: inHand.map(shown), history: history.map(shown) };
    },
  },
  '/debug/registry/tasks': {
    method: 'GET',
    answer: () =>
      [...state.tasks.all()].map(({ id, key, node, agentId, stage, cancelled }) => ({
        task: id,
        pod: key,
        node,
        agent: agentId,
        stage,
        cancelled,
      })),
  },
  '/debug/agents': {
    method: 'GET',
    answer: () =>
      state.agents.map((agent) => ({
        node: agent.name,
        agent: agent.facts.id,
        reachable: agent.reachable,
        pods: agent.pods.size,
        executor: agent.executor !== undefined,
        allocatable: agent.allocatable,
        roles: Object.fromEntries(
          [...agent.places()].map(({ role, offers, unavailable, free }) => [
            role,
            { offers: offers.size, unavailable: unavailable ?? null, free },
          ]),
        ),
      })),
  },
  '/debug/actions/requestExplicit': {
    method: 'POST',
    answer: () => `asked the master about ${framework.reconcile('explicit')} tasks\n`,
  },
  '/debug/actions/requestImplicit': {
    method: 'POST',
    answer() {
      framework.reconcile('implicit');
      return 'asked the master for every task of this framework\n';
    },
  },
});

const shown = ({ received, ended, ...offer }: OfferRecord) => ({
  ...offer,
  received: timestamp(received),
  ...(ended === undefined ? {} : { ended: timestamp(ended), heldMs: ended - received }),
});
