import { randomInt, randomUUID } from 'node:crypto';
import {
  contains,
  formatAddress,
  formatCidr,
  parseAddress,
  parseCidr,
  sizeOf,
  type Address,
  type Cidr,
  type Family,
} from '../../api/cidr.ts';
import type { Kind } from '../../api/kind.ts';
import { allocatedLabel, IPAddress, isAllocated } from '../../api/kinds/ip-address.ts';
import { isReady, ServiceCIDR } from '../../api/kinds/service-cidr.ts';
import type { Service } from '../../api/kinds/service.ts';
import { timestamp } from '../../api/meta.ts';
import { encode, prefixOf } from '../encoding.ts';
import type { Feed } from '../feed.ts';
import type { Claims } from './claims.ts';
import type { ServiceRanges } from './service-families.ts';

const prefix = prefixOf(IPAddress);

/** Of a range larger than any that is used up, this many addresses are given out. */
const mostAddresses = 2n ** 20n;
const tries = 64;

/**
 * The addresses of Services: those of the ranges that the server was told, and of ServiceCIDRs. Each one taken is an IPAddress.
 * https://kubernetes.io/docs/concepts/services-networking/cluster-ip-allocation/
 */
export class ClusterIps {
  /** What the server was told, the primary range first: they say of which families Services are. */
  readonly ranges: ServiceRanges;
  readonly #feed: Feed;
  readonly #claims: Claims;

  constructor(feed: Feed, claims: Claims, ranges: ServiceRanges) {
    this.#feed = feed;
    this.#claims = claims;
    this.ranges = ranges;
  }

  /** Where addresses of a family are given out at the moment. */
  rangesOf(family: Family): Cidr[] {
    const own = this.ranges.filter((range) => range.family === family);
    if (own.length === 0) return [];
    const known = new Set(own.map(formatCidr));
    for (const { object } of this.#feed.cache(ServiceCIDR).list()) {
      const { metadata, spec, status } = object as ServiceCIDR;
      if (metadata.deletionTimestamp || !isReady(status)) continue;
      for (const text of spec?.cidrs ?? []) {
        const range = parseCidr(text);
        // Of two addresses the first names the range, and the last is everybody's.
        if (range?.family !== family || sizeOf(range) < 4n || known.has(formatCidr(range))) continue;
        known.add(formatCidr(range));
        own.push(range);
      }
    }
    return own;
  }

  /** An address that nobody has; undefined when all are taken. It is only looked for here; who claims it decides. */
  async free(family: Family): Promise<string | undefined> {
    const ranges = this.rangesOf(family);
    for (const range of ranges) {
      const found = this.#guess(range);
      if (found) return found;
    }
    // Where few are left, guesses miss them.
    for (const range of ranges) {
      const found = await this.#scan(range);
      if (found) return found;
    }
    return undefined;
  }

  #guess(range: Cidr): string | undefined {
    const size = sizeIn(range);
    for (let i = 0; i < tries; i++) {
      const address = addressAt(range, randomInt(firstGiven(size), size - 1));
      // Another server may have taken it a moment ago, as it may in the next one: asking the store would change little.
      if (!this.#isKnown(address) && this.#claims.offer(prefix + address)) return address;
    }
    return undefined;
  }

  /** The first part of a range is the last that is given out. */
  async #scan(range: Cidr): Promise<string | undefined> {
    const count = sizeIn(range) - 2;
    const from = firstGiven(count + 2);
    for (let i = 0; i < count; i++) {
      const address = addressAt(range, 1 + ((i + from - 1) % count));
      if (!this.#isKnown(address) && (await this.#claims.isFree(prefix + address))) return address;
    }
    return undefined;
  }

  #isKnown(address: string): boolean {
    return this.#feed.cache(IPAddress).get(address) !== undefined;
  }

  /** Whether the address may be given to a Service: the first of a range names it, the last of an IPv4 one is everybody's. */
  isGivenOut(address: Address): boolean {
    return this.rangesOf(address.family).some(
      (range) =>
        contains(range, address) &&
        address.value !== range.base &&
        (range.family === 6 || address.value !== range.base + sizeOf(range) - 1n),
    );
  }

  /** What lies at the key of an address that a Service has. */
  static holder({ metadata }: Service, ip: string): Buffer {
    const { namespace = '', name = '' } = metadata;
    const address = parseAddress(ip)!;
    const taken: IPAddress = {
      metadata: {
        name: formatAddress(address),
        uid: randomUUID(),
        creationTimestamp: timestamp(Date.now()),
        labels: {
          'ipaddress.kubernetes.io/ip-family': `IPv${address.family}`,
          ...allocatedLabel,
        },
      },
      spec: { parentRef: { group: '', resource: 'services', namespace, name } },
    };
    return encode(IPAddress as Kind<never> as Kind, taken);
  }
}

/** The key of an address, however it is written. */
export const addressKey = (ip: string): string => prefix + formatAddress(parseAddress(ip)!);

export const isTaken = (feed: Feed, ip: string): boolean =>
  feed.cache(IPAddress).get(formatAddress(parseAddress(ip)!)) !== undefined;

/** The keys of what this server, or one like it, has given out. */
export const takenAddresses = (feed: Feed): { key: string; revision: number }[] =>
  feed
    .cache(IPAddress)
    .list()
    .filter(({ object }) => isAllocated(object))
    .map(({ key, revision }) => ({ key: prefix + key, revision }));

const addressAt = ({ family, base }: Cidr, at: number): string => formatAddress({ family, value: base + BigInt(at) });

const sizeIn = (range: Cidr): number => Number(sizeOf(range) < mostAddresses ? sizeOf(range) : mostAddresses);

/** The first part of a range is left for those who choose an address themselves. */
const firstGiven = (size: number): number => (size > 32 ? Math.min(256, Math.max(16, Math.floor(size / 16))) : 1);
