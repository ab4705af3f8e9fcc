import { randomInt } from 'node:crypto';
import { formatAddress, formatCidr, parseAddress, parseCidr, sizeOf, type Family } from '../../api/cidr.ts';
import { bad, invalid } from '../../api/field-error.ts';
import { IPAddress } from '../../api/kinds/ip-address.ts';
import { Service } from '../../api/kinds/service.ts';
import { clusterIpsOf, needsHealthCheckPort } from '../../api/service-addresses.ts';
import { internalError } from '../../api/status.ts';
import type { Feed } from '../feed.ts';
import type { Store } from '../store.ts';
import { Claims } from './claims.ts';
import { addressKey, ClusterIps, isTaken, takenAddresses } from './cluster-ips.ts';
import type { AdmissionRequest, AdmissionRule } from './order.ts';
import { chooseFamilies, type ServiceRanges } from './service-families.ts';

const portPrefix = '/registry/allocations/nodeports/';
const tries = 64;

/** Gives Services their cluster IPs and node ports. */
export const serviceAddresses = (
  store: Store,
  feed: Feed,
  cidrs: readonly string[],
  nodePorts: string,
): AdmissionRule => {
  const claims = new Claims(store);
  const pools = { claims, ips: new ClusterIps(feed, claims, rangesOf(cidrs)), ports: portRangeOf(nodePorts) };
  return {
    name: 'ServiceAddresses',
    mutate: (request) => (isService(request) ? assign(pools, request) : undefined),
    allocate: (request) => (isService(request) ? take(pools, request) : Promise.resolve(undefined)),
    released: async (request) => {
      if (isService(request)) await giveBack(claims, request);
    },
  };
};

/** What is given out. */
interface Pools {
  claims: Claims;
  ips: ClusterIps;
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
async function assign({ claims, ips, ports }: Pools, request: AdmissionRequest): Promise<void> {
  const { spec } = request.object as Service;
  if (request.operation === 'delete' || !spec) return;
  if (spec.type !== 'ExternalName') await assignAddresses(ips, request);
  const chosen = () => new Set(portsOf(request.object as Service));
  for (const port of spec.ports ?? []) {
    if (wantsPorts(request.object as Service)) port.nodePort ||= await freePort(claims, ports, chosen());
    else if (!port.nodePort || request.operation === 'update') delete port.nodePort;
  }
  if (needsHealthCheckPort(spec)) spec.healthCheckNodePort ||= await freePort(claims, ports, chosen());
}

async function assignAddresses(ips: ClusterIps, request: AdmissionRequest): Promise<void> {
  const { spec } = request.object as Service;
  const families = chooseFamilies(spec, (request.old as Service | undefined)?.spec, ips.ranges);
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
      return own ?? (await freeAddress(ips, family === 'IPv6' ? 6 : 4));
    }),
  );
  spec.clusterIP = spec.clusterIPs[0]!;
}

async function freeAddress(ips: ClusterIps, family: Family): Promise<string> {
  const address = await ips.free(family);
  if (address === undefined) throw internalError('failed to allocate a serviceIP: range is full');
  return address;
}

async function freePort(claims: Claims, { first, last }: PortRange, chosen: ReadonlySet<number>): Promise<number> {
  for (let i = 0; i < tries; i++) {
    const port = randomInt(first, last + 1);
    if (!chosen.has(port) && (await claims.isFree(portPrefix + port))) return port;
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

async function take({ claims, ips, ports }: Pools, request: AdmissionRequest): Promise<() => Promise<void>> {
  const service = request.object as Service;
  const old = request.old as Service | undefined;
  const refusal = (field: string, value: unknown, why: string) =>
    invalid(request.kind, service.metadata.name ?? '', [bad(field, value, why)]);
  const taken: string[] = [];
  const undo = async () => {
    for (const key of taken) await claims.drop(key);
  };
  const claim = async (key: string, holder: Uint8Array, field: string, value: unknown, why: string) => {
    // Others would see what a dry run takes.
    if (request.options.dryRun ? await claims.isHeld(key) : !(await claims.take(key, holder)))
      throw refusal(field, value, why);
    if (!request.options.dryRun) taken.push(key);
  };
  try {
    const held = clusterIpsOf(old?.spec);
    for (const ip of clusterIpsOf(service.spec)) {
      if (held.includes(ip)) continue;
      const failed = `failed to allocate IP ${ip}`;
      const address = parseAddress(ip);
      if (!address || !ips.isGivenOut(address)) {
        const ranges = (address && ips.rangesOf(address.family)) ?? [];
        const valid = (ranges.length > 0 ? ranges : [ips.ranges[0]]).map(formatCidr).join(', ');
        const why = `the provided IP (${ip}) is not in the valid range. The range of valid IPs is ${valid}`;
        throw refusal('spec.clusterIPs', [ip], `${failed}: ${why}`);
      }
      const name = formatAddress(address);
      const why = `${failed}: provided IP is already allocated`;
      await claim(addressKey(name), ClusterIps.holder(service, name), 'spec.clusterIPs', [ip], why);
    }
    const before = portsOf(old);
    const wanted = [
      ...(service.spec.ports ?? []).map(({ nodePort }, i) => [`spec.ports[${i}].nodePort`, nodePort ?? 0] as const),
      ['spec.healthCheckNodePort', service.spec.healthCheckNodePort ?? 0] as const,
    ];
    const { namespace, name, uid } = service.metadata;
    const owner = Buffer.from(JSON.stringify({ namespace, name, uid }));
    for (const [i, [field, nodePort]] of wanted.entries()) {
      if (!nodePort || before.includes(nodePort) || wanted.slice(0, i).some(([, port]) => port === nodePort)) continue;
      if (nodePort < ports.first || nodePort > ports.last)
        throw refusal(
          field,
          nodePort,
          `provided port is not in the valid range. The range of valid ports is ${ports.first}-${ports.last}`,
        );
      await claim(portPrefix + nodePort, owner, field, nodePort, 'provided port is already allocated');
    }
  } catch (error) {
    await undo();
    throw error;
  }
  return undo;
}

async function giveBack(claims: Claims, { operation, object, old }: AdmissionRequest): Promise<void> {
  const before = old as Service | undefined;
  const now = operation === 'delete' ? undefined : (object as Service);
  const left = clusterIpsOf(now?.spec);
  for (const ip of clusterIpsOf(before?.spec)) if (!left.includes(ip)) await claims.drop(addressKey(ip));
  const kept = portsOf(now);
  for (const port of portsOf(before)) if (!kept.includes(port)) await claims.drop(portPrefix + port);
}

/** How long a claim may lie before its Service is written; after that it is taken for left behind. */
const claimMs = 60_000;

/**
 * Claims what Services hold without a claim, since somebody deleted an IPAddress, and frees what no Service holds: the claims
 * of a server that died between claiming and writing. `suspects` are the claims that the last call found without an owner;
 * this call's are answered.
 */
export async function repairAddresses(
  store: Store,
  feed: Feed,
  suspects: ReadonlyMap<string, number>,
  now: number,
): Promise<Map<string, number>> {
  const services = feed
    .cache(Service)
    .list()
    .map(({ object }) => object as Service);
  await restoreAddresses(store, feed);
  const held = new Set(
    services.flatMap((service) => [
      ...clusterIpsOf(service.spec).map(addressKey),
      ...portsOf(service).map((port) => portPrefix + port),
    ]),
  );
  const ports = (await store.list(portPrefix)).items;
  const left = new Map<string, number>();
  for (const { key, revision } of [...ports, ...takenAddresses(feed)]) {
    if (held.has(key)) continue;
    const since = suspects.get(key) ?? now;
    if (now - since < claimMs) left.set(key, since);
    else await store.delete(key, revision);
  }
  return left;
}

/** The IPAddress of a Service's address is made again where somebody deletes it, before another Service is given the address. */
export function keepAddresses(store: Store, feed: Feed, failed: (error: unknown) => void): void {
  const restore = ({ metadata, spec }: IPAddress) => {
    const { namespace, name } = spec?.parentRef ?? {};
    const service = feed.cache(Service).get(`${namespace}/${name}`)?.object as Service | undefined;
    const ip = clusterIpsOf(service?.spec).find((one) => addressKey(one) === addressKey(metadata.name!));
    if (service && ip) store.put(addressKey(ip), ClusterIps.holder(service, ip), 0).catch(failed);
  };
  const follow = () =>
    void feed.cache(IPAddress).follow({
      events: (events) => {
        for (const { type, entry } of events) if (type === 'DELETED') restore(entry.object as IPAddress);
      },
      lost: follow,
    });
  follow();
}

/** An IPAddress for every address that a Service has. */
export async function restoreAddresses(store: Store, feed: Feed): Promise<void> {
  for (const { object } of feed.cache(Service).list()) {
    const service = object as Service;
    for (const ip of clusterIpsOf(service.spec))
      if (!isTaken(feed, ip)) await store.put(addressKey(ip), ClusterIps.holder(service, ip), 0);
  }
}
