/** The roles there are: subscribed to, above such a one, with a weight, a quota or a reservation; each with what is held in it and below. */
import type { Role } from '../mesos/types.ts';
import { allocatedOf } from './offers.ts';
import { add, reservedRole, unallocate } from './resources.ts';
import { isWithin, withAncestors } from './roles.ts';
import { some } from './some.ts';
import type { Master } from './state.ts';

export function rolesOf(master: Master): Role[] {
  const frameworks = [...master.frameworks.values()];
  const { weights, quotas } = master.registry;
  const reserved = [...master.agents.values()].flatMap(({ total }) => total.map(reservedRole));
  const held = frameworks.flatMap((framework) => allocatedOf(master, framework));
  const names = new Set(
    [
      ...frameworks.flatMap(({ roles }) => roles),
      ...weights.keys(),
      ...quotas.keys(),
      ...reserved.filter((role) => role !== '*'),
    ].flatMap(withAncestors),
  );
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
