/** How much more than others a role may get: set by operators, kept in the registry. */
import type { WeightInfo } from '../mesos/types.ts';
import { HttpAnswer } from './http.ts';
import { rescindAll } from './offers.ts';
import { roleError, withAncestors } from './roles.ts';
import type { Master } from './state.ts';

export const weightsOf = ({ registry }: Master): WeightInfo[] =>
  [...registry.weights].map(([role, weight]) => ({ weight, role })).sort((a, b) => (a.role < b.role ? -1 : 1));

/** All or none of them; throws an HttpAnswer in Mesos' words. */
export function updateWeights(master: Master, given: readonly WeightInfo[]): void {
  const weights = given.map(({ role = '', weight }) => ({ role: role.trim(), weight }));
  for (const { role, weight } of weights) {
    const error = weightError(master, role, weight);
    if (error !== undefined) throw new HttpAnswer(400, `Failed to validate update weights request JSON${error}`);
  }
  for (const { role, weight } of weights) master.registry.weights.set(role, weight);
  // What is on offer was shared out by the old weights, where one of them counts for a framework.
  const counting = new Set([...master.frameworks.values()].flatMap(({ roles }) => roles).flatMap(withAncestors));
  if (!weights.some(({ role }) => counting.has(role))) return;
  for (const agent of master.agents.values()) rescindAll(master, { agent });
}

function weightError(master: Master, role: string, weight: number): string | undefined {
  const invalid = roleError(role);
  if (invalid !== undefined) return `: Invalid role '${role}': ${invalid}`;
  if (role !== '*' && master.roles?.includes(role) === false) return `: Unknown role '${role}'`;
  return weight > 0 ? undefined : ` for role '${role}': Invalid weight '${weight}': Weights must be positive`;
}
