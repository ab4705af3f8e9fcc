import type { QuotaConfig } from '../mesos/master.ts';
import type { Role } from '../mesos/types.ts';
import type { Quota } from '../scheduler/index.ts';
import { fromThousandths, kubernetesName, scalarOf } from './resources.ts';

/** What Mesos' quota leaves to our roles, where an operator limits them. */
export class Quotas {
  #byRole: ReadonlyMap<string, Quota> = new Map();

  of(role: string): Quota | undefined {
    return this.#byRole.get(role);
  }

  /** As the master has them; `held` tells what is used and offered. Answers whether something changed. */
  update(roles: readonly string[], configs: readonly QuotaConfig[], held: readonly Role[]): boolean {
    const before = JSON.stringify([...this.#byRole]);
    const quotas = roles.flatMap((role) => quotaOf(role, configs, held) ?? []);
    this.#byRole = new Map(quotas.map((quota) => [quota.role, quota]));
    return JSON.stringify([...this.#byRole]) !== before;
  }
}

/** Only roles of the first level have a quota, for all below them. Undefined without a limit. */
export function quotaOf(role: string, configs: readonly QuotaConfig[], held: readonly Role[]): Quota | undefined {
  const [top = role] = role.split('/');
  const limits = Object.entries(configs.find((config) => config.role === top)?.limits ?? {});
  if (limits.length === 0) return undefined;
  const resources = held.find(({ name }) => name === top)?.resources ?? [];
  const left = limits.map(([name, { value }]) => {
    const used = resources.filter((resource) => resource.name === name).reduce((sum, one) => sum + scalarOf(one), 0);
    return [kubernetesName(name), fromThousandths(name, Math.max(0, Math.round(value * 1000) - used))];
  });
  return { role, left: Object.fromEntries(left) };
}
