import { prefix } from '../api/kinds/names.ts';
import { type Need, type Needs, portCount } from '../scheduler/index.ts';
import type { OfferOperation } from '../mesos/offers.ts';
import type { Resource } from '../mesos/types.ts';
import { isOfClass } from './revocable.ts';
import { type VolumeWant, isForClaim, volumeOn, volumeResource } from './volumes.ts';

/**
 * Mesos counts scalars in thousandths; so do we, in integers. Kubernetes' units are those of the Cluster port: cpu in
 * thousandths of a core, bytes, pieces.
 *
 *   cpu ↔ cpus      memory ↔ mem (MB)      ephemeral-storage ↔ disk (MB)      nvidia.com/gpu ↔ gpus
 *   example.com/licence ↔ example.com/licence      k8s.mesosphere.io/bandwidth ↔ bandwidth: pods can ask for no name without a domain
 */
const mega = 1024 * 1024;
const names: Record<string, string> = {
  cpu: 'cpus',
  memory: 'mem',
  'ephemeral-storage': 'disk',
  'nvidia.com/gpu': 'gpus',
};
const kubernetesNames = Object.fromEntries(Object.entries(names).map(([k, m]) => [m, k]));

export const mesosName = (resource: string): string =>
  names[resource] ?? (resource.startsWith(prefix) ? resource.slice(prefix.length) : resource);
export const kubernetesName = (name: string): string =>
  kubernetesNames[name] ?? (name.includes('/') ? name : `${prefix}${name}`);

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

/** What a task takes: thousandths by Mesos name, ports by number, so many ports of any number, volumes. */
export interface Want {
  scalars: ReadonlyMap<string, number>;
  ports: readonly number[];
  anyPorts: number;
  volumes: readonly VolumeWant[];
}

/** What was taken of a pool for a task. */
export interface Taken {
  /** As they were in the pool. */
  consumed: Resource[];
  /** As the task has them. */
  resources: Resource[];
  /** What makes these of those, in order. */
  operations: OfferOperation[];
  /** Those that were wanted with any number. */
  anyPorts: readonly number[];
}

export const nothing: Readonly<Taken> = { consumed: [], resources: [], operations: [], anyPorts: [] };

export function wantOf(needs: Needs, ports: readonly number[] = [], volumes: readonly VolumeWant[] = []): Want {
  const scalars = new Map<string, number>();
  let anyPorts = 0;
  for (const { resource, amount } of needs)
    if (resource === portCount) anyPorts = amount;
    else if (resource !== 'pods' && amount > 0) scalars.set(mesosName(resource), toThousandths(resource, amount));
  return { scalars, ports, anyPorts, volumes };
}

/** Ours to launch any pod with: not set aside for a claim. */
const usable = (resource: Resource): boolean => !resource.shared && !resource.disk?.source && !isForClaim(resource);

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
  /** By persistence id. */
  readonly #volumes = new Map<string, Resource>();
  readonly #isRevocable: boolean;

  /** Of the class `revocable`, or of the usual one. */
  constructor(isRevocable: boolean) {
    this.#isRevocable = isRevocable;
  }

  static of(resources: readonly Resource[], isRevocable = false): Pool {
    const pool = new Pool(isRevocable);
    for (const resource of resources) pool.add(resource);
    return pool;
  }

  add(resource: Resource): void {
    const id = resource.disk?.persistence?.id;
    if (id !== undefined) return void this.#volumes.set(id, resource);
    if (!usable(resource) || !isOfClass(resource, this.#isRevocable)) return;
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

  portCount(): number {
    return this.#ports.reduce((sum, { ranges }) => ranges.reduce((n, [first, last]) => n + last - first + 1, sum), 0);
  }

  hasPort(port: number): boolean {
    return this.#ports.some(({ ranges }) => ranges.some(([first, last]) => first <= port && port <= last));
  }

  volumeIds(): Iterable<string> {
    return this.#volumes.keys();
  }

  /** Takes what is wanted; takes nothing and answers undefined if it is not there. */
  take({ scalars, ports, anyPorts, volumes }: Want): Taken | undefined {
    const made = volumes.map((want) => this.#takeVolume(want));
    const found = made.filter((one) => one !== undefined);
    const highest = this.#highestPorts(anyPorts, ports);
    const isWhole = highest !== undefined && found.length === volumes.length;
    const rest = isWhole ? this.#takeRest(scalars, [...ports, ...highest]) : undefined;
    if (!highest || !rest) {
      for (const { consumed } of found) this.add(consumed);
      return undefined;
    }
    return {
      consumed: [...rest, ...found.map(({ consumed }) => consumed)],
      resources: [...rest, ...found.map(({ volume }) => volume)],
      operations: found.flatMap(({ operations }) => operations),
      anyPorts: highest,
    };
  }

  /** The highest so many that are there, but none of those: low ones have a meaning to many. Undefined if they are too few. */
  #highestPorts(count: number, but: readonly number[]): number[] | undefined {
    const found: number[] = [];
    for (const { ranges } of this.#ports)
      for (const [first, last] of ranges.toReversed())
        for (let port = last; port >= first && found.length < count; port -= 1)
          if (!but.includes(port)) found.push(port);
    return found.length === count ? found : undefined;
  }

  /** The volume, or a piece of disk that can become it: nobody can reserve for the role `*`. */
  #takeVolume(want: VolumeWant) {
    const made = this.#volumes.get(want.id);
    if (made) {
      this.#volumes.delete(want.id);
      return { consumed: made, volume: made, operations: [] };
    }
    const isFit = ({ like, left }: ScalarPart) => left >= want.size && like.allocation_info?.role !== '*';
    const part = want.isMade ? undefined : this.#scalars.get('disk')?.find(isFit);
    if (!part) return undefined;
    part.left -= want.size;
    const consumed = { ...part.like, scalar: { value: want.size / 1000 } };
    return { consumed, ...volumeOn(consumed, want) };
  }

  #takeRest(scalars: Want['scalars'], ports: Want['ports']): Resource[] | undefined {
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

/** The role that may use it; '*' for everyone. */
export const reservedFor = ({ reservations = [], role = '*' }: Resource): string => reservations.at(-1)?.role ?? role;

/** Reserved for the role, for one above it, or for nobody. */
export function isForRole(resource: Resource, role: string): boolean {
  const reserved = reservedFor(resource);
  return reserved === '*' || reserved === role || role.startsWith(`${reserved}/`);
}

const isReserved = (resource: Resource): boolean => reservedFor(resource) !== '*';
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
export function amountsOf(resources: readonly Resource[], isRevocable = false): Record<string, number> {
  const pool = Pool.of(resources, isRevocable);
  return Object.fromEntries(pool.scalars().map(([name, n]) => [kubernetesName(name), fromThousandths(name, n)]));
}

/**
 * Needs with those of volumes: one that is made (`isThere`) as itself, others as disk to make them of. What the role `*`
 * cannot have is named so that whoever reads what is short reads why.
 */
export function withVolumes(
  needs: Needs,
  volumes: readonly VolumeWant[],
  isThere: (volume: VolumeWant) => boolean,
  role: string,
): Needs {
  const made = volumes
    .filter(isThere)
    .map(({ id }): Need => ({ resource: volumeResource(id), amount: 1, isOnlyOffered: true }));
  const size = volumes.filter((volume) => !isThere(volume)).reduce((sum, volume) => sum + volume.size, 0);
  if (size === 0) return [...needs, ...made];
  const resource =
    role === '*' ? 'disk that can be reserved: the Mesos role * cannot have volumes' : 'ephemeral-storage';
  const before = needs.find((need) => need.resource === resource)?.amount ?? 0;
  const others = needs.filter((need) => need.resource !== resource);
  return [...others, { resource, amount: before + Math.ceil((size * mega) / 1000) }, ...made];
}
