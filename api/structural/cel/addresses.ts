import type { Environment } from '@marcbachmann/cel-js';
import { contains, formatAddress, parseAddress, parseCidr, widthOf, type Address } from '../../cidr.ts';
import { define, defineNamespace, defineType } from './define.ts';

const [ip, cidr] = ['net.IP', 'net.CIDR'];

/** https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-ip-address-library and the CIDR library below it */
export function addresses(environment: Environment): void {
  defineType(environment, ip, Ip, isSame);
  defineType(environment, cidr, Network, (a, b) => a.bits === b.bits && isSame(a.address, b.address));
  const is = (...ranges: string[]) => {
    const all = ranges.map((range) => parseCidr(range)!);
    return (address: Ip) => all.some((range) => contains(range, address));
  };
  const isUnspecified = is('0.0.0.0/32', '::/128');
  const isLoopback = is('127.0.0.0/8', '::1/128');
  const isLinkLocal = is('169.254.0.0/16', 'fe80::/10');
  const isNowhere = is('255.255.255.255/32', '224.0.0.0/4', 'ff00::/8');
  define(environment, {
    'isIP(string): bool': (text: string) => readIp(text) instanceof Ip,
    [`ip(string): ${ip}`]: ipOf,
    [`string(${ip}): string`]: formatAddress,
    [`${ip}.family(): int`]: ({ family }: Ip) => BigInt(family),
    [`${ip}.isUnspecified(): bool`]: isUnspecified,
    [`${ip}.isLoopback(): bool`]: isLoopback,
    [`${ip}.isLinkLocalMulticast(): bool`]: is('224.0.0.0/24', ...linkLocalScopes),
    [`${ip}.isLinkLocalUnicast(): bool`]: isLinkLocal,
    [`${ip}.isGlobalUnicast(): bool`]: (one: Ip) =>
      ![isUnspecified, isLoopback, isLinkLocal, isNowhere].some((test) => test(one)),
    'isCIDR(string): bool': (text: string) => readNetwork(text) instanceof Network,
    [`cidr(string): ${cidr}`]: networkOf,
    [`string(${cidr}): string`]: ({ address, bits }: Network) => `${formatAddress(address)}/${bits}`,
    [`${cidr}.containsIP(${ip}): bool`]: (range: Network, one: Ip) => contains(range, one),
    [`${cidr}.containsIP(string): bool`]: (range: Network, text: string) => contains(range, ipOf(text)),
    [`${cidr}.containsCIDR(${cidr}): bool`]: holds,
    [`${cidr}.containsCIDR(string): bool`]: (range: Network, text: string) => holds(range, networkOf(text)),
    [`${cidr}.ip(): ${ip}`]: ({ address }: Network) => address,
    [`${cidr}.masked(): ${cidr}`]: ({ family, base, bits }: Network) =>
      new Network(new Ip({ family, value: base }), bits),
    [`${cidr}.prefixLength(): int`]: ({ bits }: Network) => BigInt(bits),
  });
  defineNamespace(environment, 'ip', {
    'isCanonical(string): bool': (text: string) => formatAddress(ipOf(text)) === text,
  });
}

/** `ff02::/16`, with any flags. */
const linkLocalScopes = Array.from({ length: 16 }, (_, flags) => `ff${flags.toString(16)}2::/16`);

class Ip implements Address {
  readonly family: Address['family'];
  readonly value: bigint;
  constructor({ family, value }: Address) {
    this.family = family;
    this.value = value;
  }
}

/** A CIDR that remembers the bits beyond its prefix. */
class Network {
  readonly address: Ip;
  readonly bits: number;
  constructor(address: Ip, bits: number) {
    this.address = address;
    this.bits = bits;
  }

  get family(): Address['family'] {
    return this.address.family;
  }

  get base(): bigint {
    const shift = BigInt(widthOf(this.family) - this.bits);
    return (this.address.value >> shift) << shift;
  }
}

const isSame = (a: Address, b: Address): boolean => a.family === b.family && a.value === b.value;

const holds = (outer: Network, inner: Network): boolean => outer.bits <= inner.bits && contains(outer, inner.address);

const mapped = parseCidr('::ffff:0:0/96')!;

/** What is wrong with a text, where it is no address that Kubernetes takes. */
function readIp(text: string): Ip | string {
  const address = parseAddress(text);
  if (!address)
    return text.includes('%') && parseAddress(text.split('%')[0]!)
      ? `IP address ${JSON.stringify(text)} with zone value is not allowed`
      : `IP Address ${JSON.stringify(text)} parse error during conversion from string: ParseAddr(${JSON.stringify(text)}): unable to parse IP`;
  if (contains(mapped, address)) return `IPv4-mapped IPv6 address ${JSON.stringify(text)} is not allowed`;
  return new Ip(address);
}

function readNetwork(text: string): Network | string {
  const range = parseCidr(text);
  const [address = '', bits = ''] = text.split('/');
  if (!range || String(Number(bits)) !== bits)
    return `network address parse error during conversion from string: netip.ParsePrefix(${JSON.stringify(text)})`;
  const read = readIp(address);
  return read instanceof Ip ? new Network(read, range.bits) : read;
}

function ipOf(text: string): Ip {
  const read = readIp(text);
  if (read instanceof Ip) return read;
  throw new Error(read);
}

function networkOf(text: string): Network {
  const read = readNetwork(text);
  if (read instanceof Network) return read;
  throw new Error(read);
}
