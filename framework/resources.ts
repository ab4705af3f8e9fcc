import type { Needs } from '../scheduler/index.ts';
import type { Resource } from '../mesos/types.ts';

/**
 * Mesos counts scalars in thousandths; so do we, in integers. Kubernetes' units are those of the Cluster port: cpu in
 * thousandths of a core, bytes, pieces.
 *
 *   cpu ↔ cpus      memory ↔ mem (MB)      ephemeral-storage ↔ disk (MB)      nvidia.com/gpu ↔ gpus      x ↔ x
 */
const mega = 1024 * 1024;
const names: Record<string, string> = {
  cpu: 'cpus',
  memory: 'mem',
  'ephemeral-storage': 'disk',
  'nvidia.com/gpu': 'gpus',
};
const kubernetesNames = Object.fromEntries(Object.entries(names).map(([k, m]) => [m, k]));

export const mesosName = (resource: string): string => names[resource] ?? resource;
export const kubernetesName = (name: string): string => kubernetesNames[name] ?? name;

const isMegabytes = (name: string) => name === 'mem' || name === 'disk';

/** An amount in Kubernetes' unit as thousandths of Mesos' unit, rounded up. */
export function toThousandths(resource: string, amount: number): number {
  if (resource === 'cpu') return Math.ceil(amount);
  return Math.ceil((isMegabytes(mesosName(resource)) ? amount / mega : amount) * 1000);
}

/** The inverse, rounded down. */
export function fromThousandths(name: string, thousandths: number): number {
  if (name === 'cpus') return thousandths;
  return Math.floor(isMegabytes(name) ? (thousandths * mega) / 1000 : thousandths / 1000);
}

export const scalarOf = (resource: Resource): number => Math.round((resource.scalar?.value ?? 0) * 1000);

/** What a task takes: thousandths by Mesos name, and single ports. */
export interface Want {
  scalars: ReadonlyMap<string, number>;
  ports: readonly number[];
}

export function wantOf(needs: Needs, ports: readonly number[] = []): Want {
  const scalars = new Map<string, number>();
  for (const { resource, amount } of needs)
    if (resource !== 'pods' && amount > 0) scalars.set(mesosName(resource), toThousandths(resource, amount));
  return { scalars, ports };
}

/** Ours to launch with: not somebody's volume, not to be taken away again at any time. */
const usable = ({ revocable, shared, disk }: Resource): boolean =>
  !revocable && !shared && !disk?.persistence && !disk?.source;

interface ScalarPart {
  like: Resource;
  left: number;
}

interface PortPart {
  like: Resource;
  ranges: [first: number, last: number][];
}

/**
 * The resources of one agent that are offered to one role, taken apart and put together without rounding.
 * Parts reserved to the role are used before unreserved ones.
 */
export class Pool {
  readonly #scalars = new Map<string, ScalarPart[]>();
  #ports: PortPart[] = [];

  static of(resources: readonly Resource[]): Pool {
    const pool = new Pool();
    for (const resource of resources) pool.add(resource);
    return pool;
  }

  add(resource: Resource): void {
    if (!usable(resource)) return;
    if (resource.type === 'SCALAR') this.#addScalar(resource);
    else if (resource.type === 'RANGES' && resource.name === 'ports') this.#addPorts(resource);
  }

  /** Thousandths of a scalar, over all its parts. */
  scalar(name: string): number {
    return (this.#scalars.get(name) ?? []).reduce((sum, { left }) => sum + left, 0);
  }

  scalars(): [name: string, thousandths: number][] {
    return [...this.#scalars.keys()].map((name) => [name, this.scalar(name)]);
  }

  hasPort(port: number): boolean {
    return this.#ports.some(({ ranges }) => ranges.some(([first, last]) => first <= port && port <= last));
  }

  /** Takes what is wanted and answers it as resources for a task; takes nothing and answers undefined if it is not there. */
  take({ scalars, ports }: Want): Resource[] | undefined {
    for (const [name, amount] of scalars) if (this.scalar(name) < amount) return undefined;
    if (new Set(ports).size < ports.length || !ports.every((port) => this.hasPort(port))) return undefined;
    return [...[...scalars].flatMap(([name, amount]) => this.#takeScalar(name, amount)), ...this.#takePorts(ports)];
  }

  #addScalar(resource: Resource): void {
    const parts = this.#scalars.get(resource.name) ?? [];
    this.#scalars.set(resource.name, parts);
    const part = parts.find(({ like }) => sameKind(like, resource));
    if (part) part.left += scalarOf(resource);
    else parts.push({ like: resource, left: scalarOf(resource) });
    parts.sort(reservedFirst);
  }

  #addPorts(resource: Resource): void {
    const ranges = (resource.ranges?.range ?? []).map(({ begin, end }): [number, number] => [
      Number(begin),
      Number(end),
    ]);
    this.#ports.push({ like: resource, ranges });
    this.#ports.sort(reservedFirst);
  }

  #takeScalar(name: string, amount: number): Resource[] {
    const taken: Resource[] = [];
    let missing = amount;
    for (const part of this.#scalars.get(name) ?? []) {
      const take = Math.min(part.left, missing);
      if (take === 0) continue;
      part.left -= take;
      missing -= take;
      taken.push({ ...part.like, scalar: { value: take / 1000 } });
    }
    return taken;
  }

  #takePorts(ports: readonly number[]): Resource[] {
    const byPart = new Map<PortPart, number[]>();
    for (const port of ports) {
      const part = this.#ports.find(({ ranges }) => ranges.some(([first, last]) => first <= port && port <= last))!;
      part.ranges = part.ranges.flatMap((range) => without(range, port));
      byPart.set(part, [...(byPart.get(part) ?? []), port]);
    }
    return [...byPart].map(([{ like }, own]) => ({
      ...like,
      ranges: { range: own.sort((a, b) => a - b).map((port) => ({ begin: BigInt(port), end: BigInt(port) })) },
    }));
  }
}

function without([first, last]: [number, number], port: number): [number, number][] {
  if (port < first || port > last) return [[first, last]];
  const rest: [number, number][] = [];
  if (first < port) rest.push([first, port - 1]);
  if (port < last) rest.push([port + 1, last]);
  return rest;
}

const isReserved = ({ reservations = [], role = '*' }: Resource): boolean => reservations.length > 0 || role !== '*';
const reservedFirst = (a: { like: Resource }, b: { like: Resource }): number =>
  Number(isReserved(b.like)) - Number(isReserved(a.like));

/** Parts that Mesos would add up: equal in all but the amount. */
function sameKind(a: Resource, b: Resource): boolean {
  const kindOf = ({ reservations, role, reservation, allocation_info, provider_id }: Resource) =>
    JSON.stringify([
      reservations ?? [],
      role ?? '*',
      reservation ?? null,
      allocation_info ?? null,
      provider_id ?? null,
    ]);
  return kindOf(a) === kindOf(b);
}

/** Kubernetes amounts of a list of resources, for Node capacity. */
export function amountsOf(resources: readonly Resource[]): Record<string, number> {
  const pool = Pool.of(resources);
  return Object.fromEntries(pool.scalars().map(([name, n]) => [kubernetesName(name), fromThousandths(name, n)]));
}
