/** Quota: what an operator guarantees to a role and where he limits it. Kept in the registry. */
import type { Call, QuotaConfig, QuotaStatus } from '../mesos/master.ts';
import type { Resource, Scalar } from '../mesos/types.ts';
import { HttpAnswer } from './http.ts';
import { allocatedOf, rescind, rescindAll } from './offers.ts';
import { Rations, topOf, type Amounts, type Quota } from './rations.ts';
import { add, contains, scalarOf, unallocate } from './resources.ts';
import { roleError } from './roles.ts';
import { some } from './some.ts';
import type { Master } from './state.ts';

/** The newest first; a role whose quota was taken away stays, with nothing. */
export function quotaStatus({ registry }: Master): QuotaStatus {
  const all = [...registry.quotas].reverse();
  return {
    ...some(
      'infos',
      all.map(([role, { guarantees }]) => ({ role, ...some('guarantee', resourcesOf(guarantees)) })),
    ),
    ...some(
      'configs',
      all.map(([role, { guarantees, limits }]) => ({
        role,
        ...(isEmpty(guarantees) ? {} : { guarantees: scalars(guarantees) }),
        ...(isEmpty(limits) ? {} : { limits: scalars(limits) }),
      })),
    ),
  };
}

/** Does what a call about quota says; false for other calls. Throws an HttpAnswer in Mesos' words. */
export function changeQuota(master: Master, call: Call): boolean {
  if (call.type === 'UPDATE_QUOTA') {
    const { quota_configs = [], force = false } = call.update_quota;
    updateQuota(master, quota_configs, force);
  } else if (call.type === 'SET_QUOTA') {
    const { role = '', guarantee = [], force = false } = call.set_quota.quota_request;
    const amounts = Object.fromEntries(guarantee.map(({ name, scalar }) => [name, scalar ?? { value: 0 }]));
    updateQuota(master, [{ role, guarantees: amounts, limits: amounts }], force);
  } else if (call.type === 'REMOVE_QUOTA') {
    if (!master.registry.quotas.delete(call.remove_quota.role))
      throw new HttpAnswer(400, `Failed to remove quota: Role '${call.remove_quota.role}' has no quota set`);
  } else return false;
  return true;
}

function updateQuota(master: Master, configs: readonly QuotaConfig[], isForced: boolean): void {
  const given = configs.map((config) => ({ role: config.role, quota: quotaOf(config) }));
  for (const { role, quota } of given) {
    const error = quotaError(role, quota);
    if (error !== undefined) throw new HttpAnswer(400, error);
  }
  if (!isForced) {
    const error = consumptionError(master, given) ?? capacityError(master, given);
    if (error !== undefined)
      throw new HttpAnswer(400, `Invalid QuotaConfig: ${error} (use 'force' flag to bypass this check)`);
  }
  for (const { role, quota } of given) {
    const before = master.registry.quotas.get(role);
    master.registry.quotas.set(role, quota);
    rescindOverLimit(master, role, quota);
    if (!isEmpty(quota.guarantees) && JSON.stringify(before?.guarantees) !== JSON.stringify(quota.guarantees))
      rescindForGuarantee(master, quota);
  }
}

interface Given {
  role: string;
  quota: Quota;
}

const isEmpty = (amounts: Amounts): boolean => Object.keys(amounts).length === 0;
const values = (amounts: Record<string, Scalar> | undefined): Amounts =>
  Object.fromEntries(Object.entries(amounts ?? {}).map(([name, { value }]) => [name, value]));
const scalars = (amounts: Amounts): Record<string, Scalar> =>
  Object.fromEntries(Object.entries(amounts).map(([name, value]) => [name, { value }]));
const quotaOf = ({ guarantees, limits }: QuotaConfig): Quota => ({
  guarantees: values(guarantees),
  limits: values(limits),
});
const resourcesOf = (amounts: Amounts): Resource[] =>
  Object.entries(amounts).map(([name, value]) => ({ name, type: 'SCALAR', scalar: { value } }));

const byName = (amounts: Amounts): [string, number][] => Object.entries(amounts).sort(([a], [b]) => (a < b ? -1 : 1));
/** `cpus:8; mem:512` */
const print = (amounts: Amounts): string =>
  byName(amounts)
    .map(([name, value]) => `${name}:${value}`)
    .join('; ');
/** `{ cpus: 2, mem: 1 }` */
const printMap = (amounts: Amounts): string =>
  `{ ${byName(amounts)
    .map(([name, value]) => `${name}: ${value}`)
    .join(', ')} }`;

function quotaError(role: string, { guarantees, limits }: Quota): string | undefined {
  const invalid = roleError(role);
  if (invalid !== undefined) return `Invalid QuotaConfig: Invalid role '${role}': ${invalid}`;
  if (topOf(role) !== role) return `Updating quota on nested role '${role}' is not supported yet`;
  for (const [kind, amounts] of [['guarantee', guarantees] as const, ['limit', limits] as const])
    for (const [name, value] of Object.entries(amounts))
      if (value < 0)
        return `Invalid QuotaConfig: Invalid ${kind} configuration {'${name}': ${value}}: Negative values not supported`;
  const isWithin = Object.entries(guarantees).every(([name, value]) => value <= (limits[name] ?? Infinity));
  return isWithin
    ? undefined
    : `Invalid QuotaConfig: 'QuotaConfig.guarantees' ${printMap(guarantees)} is not contained within the 'QuotaConfig.limits' ${printMap(limits)}`;
}

function consumptionError(master: Master, given: readonly Given[]): string | undefined {
  const rations = new Rations(master.registry.quotas);
  for (const agent of master.agents.values()) {
    rations.countAgent(agent.total, []);
    rations.countAllocated(agent.used);
  }
  for (const { role, quota } of given) {
    const consumed = rations.consumed(role);
    if (Object.entries(quota.limits).some(([name, value]) => (consumed[name] ?? 0) > value))
      return `Role '${role}' is already consuming '${print(consumed)}'; this is more than the requested limits '${print(quota.limits)}'`;
  }
  return undefined;
}

function capacityError(master: Master, given: readonly Given[]): string | undefined {
  const quotas = new Map(master.registry.quotas);
  for (const { role, quota } of given) quotas.set(role, quota);
  const wanted = sumOf([...quotas.values()].flatMap(({ guarantees }) => resourcesOf(guarantees)));
  const capacity = sumOf([...master.agents.values()].flatMap(({ total }) => unreserved(total)));
  return Object.entries(wanted).every(([name, value]) => value <= (capacity[name] ?? 0))
    ? undefined
    : `total quota guarantees '${print(wanted)}' exceed cluster capacity '${print(capacity)}'`;
}

/** Capacity counts whoever has it reserved. */
const unreserved = (resources: readonly Resource[]): Resource[] =>
  unallocate(resources).map(({ reservations: _reservations, disk: _disk, ...resource }) => resource);

function sumOf(resources: readonly Resource[]): Amounts {
  const sum = add([], resources).filter(({ type }) => type === 'SCALAR');
  return Object.fromEntries(sum.map(({ name }) => [name, scalarOf(sum, name)]));
}

/** What a role was offered beyond its new limit. */
function rescindOverLimit(master: Master, role: string, { limits }: Quota): void {
  for (const offer of [...master.offers.values()]) {
    if (topOf(offer.role) !== role) continue;
    const held = sumOf(
      unreserved([...master.frameworks.values()].flatMap((one) => ofRole(allocatedOf(master, one), role))),
    );
    const over = Object.keys(limits).some(
      (name) => (held[name] ?? 0) > limits[name]! && scalarOf(offer.resources, name) > 0,
    );
    if (over) rescind(master, offer.id);
  }
}

const ofRole = (resources: readonly Resource[], role: string): Resource[] =>
  resources.filter(({ allocation_info }) => topOf(allocation_info?.role ?? '*') === role);

/** Agent by agent, until what was offered there covers the guarantee. */
function rescindForGuarantee(master: Master, { guarantees }: Quota): void {
  let recovered: Resource[] = [];
  for (const agent of [...master.agents.values()].reverse()) {
    if (contains(recovered, resourcesOf(guarantees))) return;
    const offered = [...agent.offers].flatMap((id) => master.offers.get(id)!.resources);
    rescindAll(master, { agent });
    recovered = add(recovered, unallocate(offered));
  }
}
