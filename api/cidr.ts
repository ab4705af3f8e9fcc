import { isIPv4, isIPv6 } from 'node:net';

export type Family = 4 | 6;

/** An address as a number. */
export interface Address {
  family: Family;
  value: bigint;
}

/** An address range as `base/bits`. */
export interface Cidr {
  family: Family;
  base: bigint;
  bits: number;
}

/** Bits of an address. */
export const widthOf = (family: Family): 32 | 128 => (family === 4 ? 32 : 128);

/** Undefined when the text is no address; one with a zone (`fe80::1%eth0`) is none. */
export function parseAddress(text: string): Address | undefined {
  if (isIPv4(text)) return { family: 4, value: text.split('.').reduce((sum, part) => (sum << 8n) | BigInt(part), 0n) };
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const [head = '', tail] = withoutDots(text).split('::');
  const left = head ? head.split(':') : [];
  const right = tail ? tail.split(':') : [];
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...Array<string>(zeros).fill('0'), ...right];
  return { family: 6, value: groups.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n) };
}

/** `::ffff:1.2.3.4` as groups of hex. */
function withoutDots(address: string): string {
  const dotted = /(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  if (!dotted) return address;
  const [a, b, c, d] = dotted.slice(1).map(Number) as [number, number, number, number];
  return `${address.slice(0, dotted.index)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

/** In the form that RFC 5952 recommends. */
export function formatAddress({ family, value }: Address): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

/** Undefined when the text is no CIDR; bits beyond the prefix are dropped. */
export function parseCidr(text: string): Cidr | undefined {
  const [, address = '', length = ''] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  const found = parseAddress(address);
  const bits = Number(length);
  if (!found || bits > widthOf(found.family)) return undefined;
  const shift = BigInt(widthOf(found.family) - bits);
  return { family: found.family, base: (found.value >> shift) << shift, bits };
}

export const formatCidr = ({ family, base, bits }: Cidr): string => `${formatAddress({ family, value: base })}/${bits}`;

/** How many addresses there are. */
export const sizeOf = ({ family, bits }: Cidr): bigint => 1n << BigInt(widthOf(family) - bits);

export const contains = (range: Cidr, { family, value }: Address): boolean =>
  family === range.family && value >= range.base && value < range.base + sizeOf(range);

/** Everything of `inner` lies in `outer`, which is larger. */
export const isStrictSubset = (inner: Cidr, outer: Cidr): boolean =>
  inner.bits > outer.bits && contains(outer, { family: inner.family, value: inner.base });

/** The first address that a range has to give: of Services that of the Service `kubernetes`. */
export const firstAddress = ({ family, base }: Cidr): string => formatAddress({ family, value: base + 1n });
