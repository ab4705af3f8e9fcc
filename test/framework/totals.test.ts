import { expect, test } from '@jest/globals';
import { factsOf } from '../../framework/agents.ts';
import { followTotals } from '../../framework/totals.ts';
import { makeOffer, register, scalar, subscribed } from './builders.ts';

test('a node has what its agent has, also when that came back with more; agents that nobody knows stay so', () => {
  const state = subscribed();
  const offer = makeOffer('a1', { cpus: 4, mem: 1024 });
  state.learnAgent({ ...factsOf(offer), total: offer.resources });
  state.offered([offer], 0);
  register(state);
  // Without those of the executor.
  expect(state.nodes[0]!.allocatable.cpu).toBe(3900);
  const foreign = { ...scalar('cpus', 8), reservations: [{ type: 'STATIC' as const, role: 'other' }] };
  followTotals(state, [
    { id: 'a1', total: [scalar('cpus', 6), scalar('mem', 2048), foreign] },
    { id: 'a2', total: [scalar('cpus', 1)] },
  ]);
  expect(state.nodes.map(({ name, allocatable }) => [name, allocatable.cpu])).toEqual([['host-a1', 5900]]);
  expect(state.nodes[0]!.free.cpu).toBe(3900);
});
