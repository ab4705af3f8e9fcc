import { randomInt } from 'node:crypto';
import { contains, formatAddress, parseAddress, parseCidr, sizeOf, type Cidr } from '../../api/cidr.ts';
import { bad, invalid } from '../../api/field-error.ts';
import { Service } from '../../api/kinds/service.ts';
import { clusterIpsOf, needsHealthCheckPort } from '../../api/service-addresses.ts';
import { internalError } from '../../api/status.ts';
import type { Store } from '../store.ts';
import type { AdmissionRequest, AdmissionRule } from './order.ts';
import { chooseFamilies, type ServiceRanges } from './service-families.ts';

const ipPrefix = '/registry/allocations/clusterips/';
const portPrefix = '/registry/allocations/nodeports/';
const tries = 64;

/**
 * Gives Services their cluster IPs and node ports. Each one taken is a key of its own in the store, created only if it
 * is not there, so that no two apiservers ever give out the same.
 */
export const serviceAddresses = (store: Store, cidrs: readonly string[], nodePorts: string): AdmissionRule => {
  const pools = { ranges: rangesOf(cidrs), ports: portRangeOf(nodePorts) };
  const candidates = new Candidates(store);
  return {
    name: 'ServiceAddresses',
    mutate: (request) => (isService(request) ? assign(candidates, pools, request) : undefined),
    allocate: (request) => (isService(request) ? take(store, pools, request) : Promise.resolve(undefined)),
    released: async (request) => {
      if (isService(request)) await giveBack(store, request);
    },
  };
};

/** What is given out. */
interface Pools {
  ranges: ServiceRanges;
  ports: PortRange;
}

interface PortRange {
  first: number;
  last: number;
}

/** `30000-32767`. Throws an Error in words. */
export function portRangeOf(text: string): PortRange {
  const [, from, to] = /^(\d+)-(\d+)$/.exec(text) ?? [];
  const range = { first: Number(from), last: Number(to) };
  if (!(range.first >= 1 && range.first <= range.last && range.last <= 65535))
    throw new Error(`--service-node-port-range: expected ports such as 30000-32767, got "${text}"`);
  return range;
}

/** One range, or one of each family; the first is that of Services that do not say. Throws an Error in words. */
export function rangesOf(cidrs: readonly string[]): ServiceRanges {
  const ranges = cidrs.map((text) => {
    const range = parseCidr(text);
    const least = range?.family === 6 ? 126 : 30;
    if (!range || range.bits > least || sizeOf(range) < 4n)
      throw new Error(`--service-cidr: expected a range such as 10.96.0.0/12 or fd00:1::/108, got "${text}"`);
    return range;
  });
  const [first, second, ...more] = ranges;
  if (!first || more.length > 0 || second?.family === first.family)
    throw new Error(`--service-cidr: expected one range, or one of each family, got "${cidrs.join(',')}"`);
  return second ? [first, second] : [first];
}

const isService = ({ kind }: AdmissionRequest): boolean => kind.group === '' && kind.plural === Service.plural;

const wantsPorts = ({ spec }: Service): boolean =>
  spec.type === 'NodePort' || (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false);

/** Fills in free ones where the user named none. They are only looked for here; `take` decides. */
async function assign(candidates: Candidates, { ranges, ports }: Pools, request: AdmissionRequest): Promise<void> {
  const { spec } = request.object as Service;
  if (request.operation === 'delete' || !spec) return;
  if (spec.type !== 'ExternalName') await assignAddresses(candidates, ranges, request);
  const chosen = () => new Set(portsOf(request.object as Service));
  for (const port of spec.ports ?? []) {
    if (wantsPorts(request.object as Service)) port.nodePort ||= await freePort(candidates, ports, chosen());
    else if (!port.nodePort || request.operation === 'update') delete port.nodePort;
  }
  if (needsHealthCheckPort(spec)) spec.healthCheckNodePort ||= await freePort(candidates, ports, chosen());
}

async function assignAddresses(
  candidates: Candidates,
  ranges: ServiceRanges,
  request: AdmissionRequest,
): Promise<void> {
  const { spec } = request.object as Service;
  const families = chooseFamilies(spec, (request.old as Service | undefined)?.spec, ranges);
  if (Array.isArray(families)) throw invalid(request.kind, request.object.metadata.name ?? '', families);
  Object.assign(spec, families);
  if (spec.clusterIP === 'None') return;
  const given = clusterIpsOf(spec);
  const wanted = spec.ipFamilies!;
  // Ones that are of no family, or too many, are left to the validation.
  if (given.length > wanted.length || given.some((ip) => !parseAddress(ip))) return;
  spec.clusterIPs = await Promise.all(
    wanted.map(async (family) => {
      const own = given.find((ip) => `IPv${parseAddress(ip)?.family}` === family);
      return (
        own ??
        freeAddress(
          candidates,
          ranges.find((range) => `IPv${range.family}` === family)!,
        )
      );
    }),
  );
  spec.clusterIP = spec.clusterIPs[0]!;
}

/** A request that was given a candidate has claimed it by then, or never will. Milliseconds. */
const candidateMs = 10_000;

/** Keys that nobody holds, each offered to one request at a time, so that two at once do not run for the same. */
class Candidates {
  readonly #store: Store;
  /** Key → when it may be offered again; in the order of those times. */
  readonly #offered = new Map<string, number>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** True when the key is free and now ours to claim. */
  async take(key: string): Promise<boolean> {
    const now = Date.now();
    for (const [old, until] of this.#offered) {
      if (until > now) break;
      this.#offered.delete(old);
    }
    if (this.#offered.has(key)) return false;
    this.#offered.set(key, now + candidateMs);
    return (await this.#store.get(key)).item === undefined;
  }
}

/** Of a range larger than any that is used up, this many addresses are given out. */
const mostAddresses = 2n ** 20n;

async function freeAddress(candidates: Candidates, range: Cidr): Promise<string> {
  const size = Number(sizeOf(range) < mostAddresses ? sizeOf(range) : mostAddresses);
  // The first part of a range is left for those who choose an address themselves.
  const reserved = Math.min(256, Math.max(16, Math.floor(size / 16)));
  const from = size > 32 ? reserved : 1;
  for (let i = 0; i < tries; i++) {
    const value = range.base + BigInt(randomInt(from, size - 1));
    const address = formatAddress({ family: range.family, value });
    if (await candidates.take(ipPrefix + address)) return address;
  }
  throw internalError('failed to allocate a serviceIP: range is full');
}

async function freePort(
  candidates: Candidates,
  { first, last }: PortRange,
  chosen: ReadonlySet<number>,
): Promise<number> {
  for (let i = 0; i < tries; i++) {
    const port = randomInt(first, last + 1);
    if (!chosen.has(port) && (await candidates.take(portPrefix + port))) return port;
  }
  throw internalError('failed to allocate a nodePort: range is full');
}

/** Node ports of the Service, that of its health checks among them. */
const portsOf = (service: Service | undefined): number[] => [
  ...new Set(
    [...(service?.spec?.ports ?? []).map((port) => port.nodePort ?? 0), service?.spec?.healthCheckNodePort ?? 0].filter(
      (port) => port > 0,
    ),
  ),
];

async function take(store: Store, { ranges, ports }: Pools, request: AdmissionRequest): Promise<() => Promise<void>> {
  const service = request.object as Service;
  const old = request.old as Service | undefined;
  const refusal = (field: string, value: unknown, why: string) =>
    invalid(request.kind, service.metadata.name ?? '', [bad(field, value, why)]);
  const taken: string[] = [];
  const undo = async () => {
    for (const key of taken) await drop(store, key);
  };
  const { namespace, name, uid } = service.metadata;
  const owner = Buffer.from(JSON.stringify({ namespace, name, uid }));
  const claim = async (key: string, field: string, value: unknown, why: string) => {
    if ((await store.put(key, owner, 0)).ok) taken.push(key);
    else throw refusal(field, value, why);
  };
  try {
    const held = clusterIpsOf(old?.spec);
    for (const ip of clusterIpsOf(service.spec)) {
      if (held.includes(ip)) continue;
      const failed = `failed to allocate IP ${ip}`;
      const address = parseAddress(ip);
      const range = ranges.find(({ family }) => family === address?.family);
      if (!address || !range || !isGivenOut(range, address))
        throw refusal(
          'spec.clusterIPs',
          [ip],
          `${failed}: the provided IP (${ip}) is not in the valid range. The range of valid IPs is ${textOf(range ?? ranges[0])}`,
        );
      await claim(
        ipPrefix + formatAddress(address),
        'spec.clusterIPs',
        [ip],
        `${failed}: provided IP is already allocated`,
      );
    }
    const before = portsOf(old);
    const wanted = [
      ...(service.spec.ports ?? []).map(({ nodePort }, i) => [`spec.ports[${i}].nodePort`, nodePort ?? 0] as const),
      ['spec.healthCheckNodePort', service.spec.healthCheckNodePort ?? 0] as const,
    ];
    for (const [field, nodePort] of wanted) {
      if (!nodePort || before.includes(nodePort) || taken.includes(portPrefix + nodePort)) continue;
      if (nodePort < ports.first || nodePort > ports.last)
        throw refusal(
          field,
          nodePort,
          `provided port is not in the valid range. The range of valid ports is ${ports.first}-${ports.last}`,
        );
      await claim(portPrefix + nodePort, field, nodePort, 'provided port is already allocated');
    }
  } catch (error) {
    await undo();
    throw error;
  }
  return undo;
}

/** The first address of a range names it, the last one of an IPv4 range is everybody's. */
const isGivenOut = (range: Cidr, address: { family: 4 | 6; value: bigint }): boolean =>
  contains(range, address) &&
  address.value !== range.base &&
  (range.family === 6 || address.value !== range.base + sizeOf(range) - 1n);

const textOf = ({ family, base, bits }: Cidr): string => `${formatAddress({ family, value: base })}/${bits}`;

async function giveBack(store: Store, { operation, object, old }: AdmissionRequest): Promise<void> {
  const before = old as Service | undefined;
  const now = operation === 'delete' ? undefined : (object as Service);
  const left = clusterIpsOf(now?.spec);
  for (const ip of clusterIpsOf(before?.spec)) if (!left.includes(ip)) await drop(store, ipPrefix + ip);
  const kept = portsOf(now);
  for (const port of portsOf(before)) if (!kept.includes(port)) await drop(store, portPrefix + port);
}

async function drop(store: Store, key: string): Promise<void> {
  const { item } = await store.get(key);
  if (item) await store.delete(key, item.revision);
}

/** How long a claim may lie before its Service is written; after that it is taken for left behind. */
const claimMs = 60_000;

/**
 * Frees what Services no longer hold: the claims of a server that died between claiming and writing.
 * `suspects` are the claims that the last call found without an owner; this call's are answered.
 */
export async function repairAddresses(
  store: Store,
  services: readonly Service[],
  suspects: ReadonlyMap<string, number>,
  now: number,
): Promise<Map<string, number>> {
  const held = new Set(
    services.flatMap((service) => [
      ...clusterIpsOf(service.spec).map((ip) => ipPrefix + ip),
      ...portsOf(service).map((port) => portPrefix + port),
    ]),
  );
  const left = new Map<string, number>();
  for (const prefix of [ipPrefix, portPrefix])
    for (const { key, revision } of (await store.list(prefix)).items) {
      if (held.has(key)) continue;
      const since = suspects.get(key) ?? now;
      if (now - since < claimMs) left.set(key, since);
      else await store.delete(key, revision);
    }
  return left;
}
