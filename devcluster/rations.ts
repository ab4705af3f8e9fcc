/**
 * What quota leaves to a role of what nobody has reserved: never more than its limit, nor what is held back for the
 * guarantees of others. Quota is of top-level roles; what is below one counts with it. Pure.
 */
import type { Resource } from '../mesos/types.ts';
import { reservedRole } from './resources.ts';
import { withAncestors } from './roles.ts';

/** Amounts of scalars by name. */
export type Amounts = Readonly<Record<string, number>>;

export interface Quota {
  guarantees: Amounts;
  limits: Amounts;
}

export const topOf = (role: string): string => withAncestors(role)[0]!;

/** Quota is of what agents have: what may be used besides is not counted. */
const isFree = (resource: Resource): boolean =>
  resource.type === 'SCALAR' && reservedRole(resource) === '*' && !resource.revocable;

export class Rations {
  readonly #quotas: ReadonlyMap<string, Quota>;
  /** By top-level role and name, in thousandths. */
  readonly #consumed = new Map<string, Map<string, number>>();
  /** What nobody has of what nobody reserved, on all agents. */
  readonly #free = new Map<string, number>();

  constructor(quotas: ReadonlyMap<string, Quota>) {
    this.#quotas = quotas;
  }

  /** Of an agent: `free` is neither used nor offered. */
  countAgent(total: readonly Resource[], free: readonly Resource[]): void {
    for (const resource of total)
      if (reservedRole(resource) !== '*') this.#consume(topOf(reservedRole(resource)), resource);
    for (const resource of free) if (isFree(resource)) addTo(this.#free, resource, 1);
  }

  /** Used by something, or offered. Reservations are consumed whether they are used or not. */
  countAllocated(resources: readonly Resource[]): void {
    for (const resource of resources)
      if (isFree(resource)) this.#consume(topOf(resource.allocation_info?.role ?? '*'), resource);
  }

  consumed(role: string): Amounts {
    return Object.fromEntries([...(this.#consumed.get(role) ?? [])].map(([name, amount]) => [name, amount / 1000]));
  }

  /** The part of an agent's resources that the role may be offered. */
  cut(role: string, resources: readonly Resource[]): Resource[] {
    return resources.flatMap((resource) => {
      if (!isFree(resource)) return [resource];
      const has = thousandths(resource);
      const may = Math.min(
        has,
        this.#underLimit(topOf(role), resource.name),
        this.#headroom(topOf(role), resource.name),
      );
      if (may <= 0) return [];
      return may === has ? [resource] : [{ ...resource, scalar: { value: may / 1000 } }];
    });
  }

  take(role: string, resources: readonly Resource[]): void {
    for (const resource of resources.filter(isFree)) {
      this.#consume(topOf(role), resource);
      addTo(this.#free, resource, -1);
    }
  }

  #underLimit(role: string, name: string): number {
    const limit = this.#quotas.get(role)?.limits[name];
    return limit === undefined ? Infinity : Math.round(limit * 1000) - this.#amount(role, name);
  }

  #headroom(role: string, name: string): number {
    let left = this.#free.get(name) ?? 0;
    for (const [other, { guarantees }] of this.#quotas)
      if (other !== role) left -= Math.max(0, Math.round((guarantees[name] ?? 0) * 1000) - this.#amount(other, name));
    return left;
  }

  #amount(role: string, name: string): number {
    return this.#consumed.get(role)?.get(name) ?? 0;
  }

  #consume(role: string, resource: Resource): void {
    if (resource.type !== 'SCALAR') return;
    const amounts = this.#consumed.get(role) ?? new Map<string, number>();
    this.#consumed.set(role, amounts);
    addTo(amounts, resource, 1);
  }
}

const thousandths = ({ scalar }: Resource): number => Math.round((scalar?.value ?? 0) * 1000);

function addTo(amounts: Map<string, number>, resource: Resource, sign: 1 | -1): void {
  amounts.set(resource.name, (amounts.get(resource.name) ?? 0) + sign * thousandths(resource));
}
