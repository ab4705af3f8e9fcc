import { randomInt } from 'node:crypto';
import { bad, invalid } from '../../api/field-error.ts';
import { Service } from '../../api/kinds/service.ts';
import { internalError } from '../../api/status.ts';
import { contains, formatAddress, parseAddress, parseCidr, type Range } from '../cidr.ts';
import type { Store } from '../store.ts';
import type { AdmissionRequest, AdmissionRule } from './order.ts';

const ipPrefix = '/registry/allocations/clusterips/';
const portPrefix = '/registry/allocations/nodeports/';
const firstPort = 30000;
const lastPort = 32767;
const tries = 64;

/**
 * Gives Services their cluster IP and node ports. Each one taken is a key of its own in the store, created only if it
 * is not there, so that no two apiservers ever give out the same.
 */
export const serviceAddresses = (store: Store, cidr: string): AdmissionRule => {
  const range = parseCidr(cidr);
  const candidates = new Candidates(store);
  return {
    name: 'ServiceAddresses',
    mutate: (request) => (isService(request) ? assign(candidates, range, request) : undefined),
    allocate: (request) => (isService(request) ? take(store, range, cidr, request) : Promise.resolve(undefined)),
    released: async (request) => {
      if (isService(request)) await giveBack(store, request);
    },
  };
};

const isService = ({ kind }: AdmissionRequest): boolean => kind.group === '' && kind.plural === Service.plural;

const wantsIp = ({ spec }: Service): boolean => spec.type !== 'ExternalName' && spec.clusterIP !== 'None';
const wantsPorts = ({ spec }: Service): boolean =>
  spec.type === 'NodePort' || (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false);

/** Fills in free ones where the user named none. They are only looked for here; `take` decides. */
async function assign(candidates: Candidates, range: Range, { object, operation }: AdmissionRequest): Promise<void> {
  const service = object as Service;
  if (operation === 'delete' || !service.spec) return;
  if (service.spec.type === 'ExternalName') {
    delete service.spec.clusterIP;
    delete service.spec.clusterIPs;
  }
  if (wantsIp(service) && !service.spec.clusterIP) {
    service.spec.clusterIP = await freeAddress(candidates, range);
    service.spec.clusterIPs = [service.spec.clusterIP];
  }
  for (const port of service.spec.ports ?? []) {
    if (wantsPorts(service))
      port.nodePort ||= await freePort(candidates, new Set((service.spec.ports ?? []).map((p) => p.nodePort ?? 0)));
    else if (!port.nodePort || operation === 'update') delete port.nodePort;
  }
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

async function freeAddress(candidates: Candidates, range: Range): Promise<string> {
  // The first part of a range is left for those who choose an address themselves.
  const reserved = Math.min(256, Math.max(16, Math.floor(range.size / 16)));
  const from = range.size > 32 ? reserved : 1;
  for (let i = 0; i < tries; i++) {
    const address = formatAddress(range.first + randomInt(from, range.size - 1));
    if (await candidates.take(ipPrefix + address)) return address;
  }
  throw internalError('failed to allocate a serviceIP: range is full');
}

async function freePort(candidates: Candidates, chosen: ReadonlySet<number>): Promise<number> {
  for (let i = 0; i < tries; i++) {
    const port = randomInt(firstPort, lastPort + 1);
    if (!chosen.has(port) && (await candidates.take(portPrefix + port))) return port;
  }
  throw internalError('failed to allocate a nodePort: range is full');
}

const portsOf = (service: Service | undefined): number[] => [
  ...new Set((service?.spec?.ports ?? []).map((port) => port.nodePort ?? 0).filter((port) => port > 0)),
];
const ipOf = (service: Service | undefined): string | undefined =>
  service?.spec?.clusterIP && service.spec.clusterIP !== 'None' ? service.spec.clusterIP : undefined;

async function take(store: Store, range: Range, cidr: string, request: AdmissionRequest): Promise<() => Promise<void>> {
  const service = request.object as Service;
  const old = request.old as Service | undefined;
  const taken: string[] = [];
  const undo = async () => {
    for (const key of taken) await drop(store, key);
  };
  const claim = async (key: string, field: string, value: unknown, why: string) => {
    const owner = Buffer.from(
      JSON.stringify({ namespace: service.metadata.namespace, name: service.metadata.name, uid: service.metadata.uid }),
    );
    if ((await store.put(key, owner, 0)).ok) taken.push(key);
    else throw invalid(request.kind, service.metadata.name ?? '', [bad(field, value, why)]);
  };
  try {
    const ip = ipOf(service);
    if (ip && ip !== ipOf(old)) {
      const address = parseAddress(ip);
      if (address === undefined || !contains(range, address))
        throw invalid(request.kind, service.metadata.name ?? '', [
          bad(
            'spec.clusterIPs',
            [ip],
            `failed to allocate IP ${ip}: the provided IP (${ip}) is not in the valid range. The range of valid IPs is ${cidr}`,
          ),
        ]);
      await claim(
        ipPrefix + ip,
        'spec.clusterIPs',
        [ip],
        `failed to allocate IP ${ip}: provided IP is already allocated`,
      );
    }
    const before = portsOf(old);
    for (const [i, { nodePort }] of (service.spec.ports ?? []).entries()) {
      if (!nodePort || before.includes(nodePort) || taken.includes(portPrefix + nodePort)) continue;
      const field = `spec.ports[${i}].nodePort`;
      if (nodePort < firstPort || nodePort > lastPort)
        throw invalid(request.kind, service.metadata.name ?? '', [
          bad(
            field,
            nodePort,
            `provided port is not in the valid range. The range of valid ports is ${firstPort}-${lastPort}`,
          ),
        ]);
      await claim(portPrefix + nodePort, field, nodePort, 'provided port is already allocated');
    }
  } catch (error) {
    await undo();
    throw error;
  }
  return undo;
}

async function giveBack(store: Store, { operation, object, old }: AdmissionRequest): Promise<void> {
  const before = old as Service | undefined;
  const now = operation === 'delete' ? undefined : (object as Service);
  const ip = ipOf(before);
  if (ip && ip !== ipOf(now)) await drop(store, ipPrefix + ip);
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
    services.flatMap((service) => {
      const ip = ipOf(service);
      return [...(ip ? [ipPrefix + ip] : []), ...portsOf(service).map((port) => portPrefix + port)];
    }),
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
