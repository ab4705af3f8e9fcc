/** The roles there are: subscribed to, above such a one, or with a weight; each with what is held in it and below. */
import type { Role } from '../mesos/types.ts';
import { allocatedOf } from './offers.ts';
import { add, unallocate } from './resources.ts';
import { isWithin, withAncestors } from './roles.ts';
import { some } from './some.ts';
import type { Master } from './state.ts';

export function rolesOf(master: Master): Role[] {
  const frameworks = [...master.frameworks.values()];
  const { weights } = master.registry;
  const held = frameworks.flatMap((framework) => allocatedOf(master, framework));
  const names = new Set([...frameworks.flatMap(({ roles }) => roles), ...weights.keys()].flatMap(withAncestors));
  return [...names].sort().map((name) => ({
    name,
    weight: weights.get(name) ?? 1,
    ...some(
      'frameworks',
      frameworks.filter(({ roles }) => roles.includes(name)).map(({ id }) => ({ value: id })),
    ),
    ...some(
      'resources',
      add([], unallocate(held.filter(({ allocation_info }) => isWithin(allocation_info?.role ?? '*', name)))),
    ),
  }));
}
