/**
 * Who is offered what? Pure: a picture of the cluster in, allocations out. Dominant resource fairness: on each agent
 * the role with the smallest share for its weight is asked first, level by level of the hierarchy, in it the framework with
 * the smallest share (equals: who was served less often, then by name); whoever takes, takes all of the agent that is free
 * for its role.
 */
import type { DomainInfo, Resource } from '../mesos/types.ts';
import type { Rations } from './rations.ts';
import { add, allocate, contains, reservedRole, scalarOf, subtract } from './resources.ts';
import { isWithin, withAncestors } from './roles.ts';

export interface AgentView {
  id: string;
  /** Neither used nor offered, without allocation_info. */
  free: readonly Resource[];
  domain: DomainInfo | undefined;
  hasGpus: boolean;
}

export interface FrameworkView {
  id: string;
  capabilities: ReadonlySet<string>;
  /** Roles that want offers. */
  roles: readonly string[];
  /** Offers made before, by role. */
  served: ReadonlyMap<string, number>;
  /** Used and offered, with allocation_info. */
  allocated: readonly Resource[];
  /** Whether it wants to see the agent at all, for the role. */
  admits(role: string, agentId: string): boolean;
  refuses(role: string, agentId: string, resources: readonly Resource[]): boolean;
  /** Own least sizes of an offer for a role, or undefined for the master's. */
  leastOf(role: string): readonly Least[] | undefined;
}
/** Names and amounts that an offer must have; one of several. */
export type Least = Readonly<Record<string, number>>;

export interface ClusterView {
  agents: readonly AgentView[];
  frameworks: readonly FrameworkView[];
  total: readonly Resource[];
  /** Of roles; 1 unless told. */
  weights: ReadonlyMap<string, number>;
  /** What quota leaves; undefined without any. */
  rations?: Rations | undefined;
  /** Region of the master; agents elsewhere are offered only to REGION_AWARE frameworks. */
  region: string | undefined;
}

export interface Allocation {
  frameworkId: string;
  role: string;
  agentId: string;
  resources: Resource[];
}

/** cpus:0.01|mem:32 */
const masterLeast: readonly Least[] = [{ cpus: 0.01 }, { mem: 32 }];

export function allocateOffers(cluster: ClusterView): Allocation[] {
  const clients = cluster.frameworks.flatMap((framework) => framework.roles.map((role) => ({ framework, role })));
  const allocations: Allocation[] = [];
  if (clients.length === 0) return allocations;
  // With one client there is nothing to sort, so nothing to count: the common case of a framework with many tasks.
  const shares = clients.length > 1 ? countShares(cluster) : undefined;
  for (const agent of cluster.agents) {
    let free = agent.free;
    if (free.length === 0) continue;
    const order = shares?.order(clients) ?? clients;
    for (const { framework, role } of order) {
      if (!eligible(agent, framework, cluster.region) || !framework.admits(role, agent.id)) continue;
      const all = forRole(free, role, framework.capabilities);
      const resources = cluster.rations?.cut(role, all) ?? all;
      if (!isEnough(resources, framework.leastOf(role) ?? masterLeast)) continue;
      if (framework.refuses(role, agent.id, resources)) continue;
      const offered = allocate(resources, role);
      allocations.push({ frameworkId: framework.id, role, agentId: agent.id, resources: offered });
      shares?.count(framework.id, offered);
      shares?.serve(framework.id, role, 1);
      cluster.rations?.take(role, resources);
      free = cluster.rations ? subtract(free, resources) : free.filter((resource) => !resources.includes(resource));
      if (free.length === 0) break;
    }
  }
  return allocations;
}

function countShares({ total, weights, frameworks }: ClusterView): Shares {
  const shares = new Shares(total, weights);
  for (const framework of frameworks) {
    shares.count(framework.id, framework.allocated);
    for (const [role, times] of framework.served) shares.serve(framework.id, role, times);
  }
  return shares;
}

/** Unreserved, and reserved for the role or one above it; revocable to who can give it back at any time. Ranges come first, as Mesos lists them in offers. */
function forRole(free: readonly Resource[], role: string, capabilities: ReadonlySet<string>): Resource[] {
  const knowsRefined = capabilities.has('RESERVATION_REFINEMENT');
  const isRevocable = capabilities.has('REVOCABLE_RESOURCES');
  const mine = free.filter((resource) => {
    const reserved = reservedRole(resource);
    const isRefined = (resource.reservations?.length ?? 0) > 1;
    return (
      (reserved === '*' || isWithin(role, reserved)) &&
      (knowsRefined || !isRefined) &&
      (isRevocable || !resource.revocable)
    );
  });
  return [...mine.filter((r) => r.type !== 'SCALAR'), ...mine.filter((r) => r.type === 'SCALAR')];
}

function isEnough(resources: readonly Resource[], least: readonly Least[]): boolean {
  if (resources.length === 0) return false;
  if (least.length === 0) return true;
  return least.some((amounts) =>
    Object.entries(amounts).every(([name, amount]) => scalarOf(resources, name) >= amount),
  );
}

function eligible(agent: AgentView, framework: FrameworkView, region: string | undefined): boolean {
  if (agent.hasGpus && !framework.capabilities.has('GPU_RESOURCES')) return false;
  const there = agent.domain?.fault_domain?.region.name;
  return there === undefined || there === region || framework.capabilities.has('REGION_AWARE');
}

/** The nodes from the top of the hierarchy down to a framework in a role; `eng/.` is eng without what is below it. */
const keysOf = (role: string, frameworkId: string): string[] => [
  ...withAncestors(role),
  `${role}/.`,
  `${role} ${frameworkId}`,
];

/** The dominant share of each role with those below it, and of each framework within a role. */
class Shares {
  readonly #total = new Map<string, number>();
  readonly #held = new Map<string, Map<string, number>>();
  readonly #served = new Map<string, number>();
  readonly #weights: ReadonlyMap<string, number>;

  constructor(total: readonly Resource[], weights: ReadonlyMap<string, number>) {
    this.#weights = weights;
    for (const resource of add([], total))
      if (resource.type === 'SCALAR')
        this.#total.set(resource.name, (this.#total.get(resource.name) ?? 0) + resource.scalar!.value);
  }

  count(frameworkId: string, resources: readonly Resource[]): void {
    for (const { name, type, scalar, allocation_info } of resources) {
      if (type !== 'SCALAR') continue;
      const role = allocation_info?.role ?? '*';
      for (const key of keysOf(role, frameworkId)) {
        const held = this.#held.get(key) ?? new Map<string, number>();
        held.set(name, (held.get(name) ?? 0) + (scalar?.value ?? 0));
        this.#held.set(key, held);
      }
    }
  }

  serve(frameworkId: string, role: string, times: number): void {
    for (const key of keysOf(role, frameworkId)) this.#served.set(key, (this.#served.get(key) ?? 0) + times);
  }

  order<T extends { framework: { id: string }; role: string }>(clients: readonly T[]): T[] {
    const keys = new Map(clients.map((client) => [client, keysOf(client.role, client.framework.id)]));
    return clients.toSorted((a, b) => {
      const [left, right] = [keys.get(a)!, keys.get(b)!];
      // Where two paths part, their nodes are siblings.
      const fork = left.findIndex((key, level) => key !== right[level]);
      return fork < 0 ? 0 : this.#compare(left[fork]!, right[fork]!);
    });
  }

  #compare(a: string, b: string): number {
    const served = (key: string) => this.#served.get(key) ?? 0;
    return this.#share(a) - this.#share(b) || served(a) - served(b) || (a < b ? -1 : 1);
  }

  #share(key: string): number {
    let share = 0;
    for (const [name, amount] of this.#held.get(key) ?? []) {
      const total = this.#total.get(name) ?? 0;
      if (total > 0) share = Math.max(share, amount / total);
    }
    return share / (this.#weights.get(key) ?? 1);
  }
}

/** Whether a refusal of `refused` covers an offer of `resources`: it does when there is nothing more in the offer. */
export const covers = (refused: readonly Resource[], resources: readonly Resource[]): boolean =>
  contains(refused, resources);
