import { isIP, isIPv4 } from 'node:net';

/** An address range as `base/bits`. */
export interface Cidr {
  family: 4 | 6;
  base: bigint;
  bits: number;
}

/** Undefined when the text is no CIDR. */
export function parseCidr(text: string): Cidr | undefined {
  const [address = '', length = '', ...more] = text.split('/');
  const family = isIPv4(address) ? 4 : isIP(address) === 6 ? 6 : undefined;
  if (!family || more.length > 0 || !/^\d{1,3}$/.test(length)) return undefined;
  const width = family === 4 ? 32 : 128;
  const bits = Number(length);
  if (bits > width) return undefined;
  const shift = BigInt(width - bits);
  return { family, base: (valueOf(address, family) >> shift) << shift, bits };
}

/** Everything of `inner` lies in `outer`, which is larger. */
export function isStrictSubset(inner: Cidr, outer: Cidr): boolean {
  const shift = BigInt((outer.family === 4 ? 32 : 128) - outer.bits);
  return inner.family === outer.family && inner.bits > outer.bits && inner.base >> shift === outer.base >> shift;
}

function valueOf(address: string, family: 4 | 6): bigint {
  if (family === 4) return address.split('.').reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);
  const [head = '', tail] = withoutDots(address).split('::');
  const left = head ? head.split(':') : [];
  const right = tail ? tail.split(':') : [];
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...Array.from({ length: zeros }, () => '0'), ...right];
  return groups.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group || '0'}`), 0n);
}

/** `::ffff:1.2.3.4` as groups of hex. */
function withoutDots(address: string): string {
  const dotted = /(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  if (!dotted) return address;
  const [a, b, c, d] = dotted.slice(1).map(Number) as [number, number, number, number];
  return `${address.slice(0, dotted.index)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}
