import { isIPv4, isIPv6 } from 'node:net';

/** Addresses as numbers: IPv4 has 32 bits, IPv6 128. */
interface Range {
  bits: 32 | 128;
  first: bigint;
  prefix: number;
}

/** Undefined when the text is no range; bits beyond the prefix are dropped. */
export function parseRange(text: string): Range | undefined {
  const [address = '', length = ''] = text.split('/');
  const bits = isIPv4(address) ? 32 : isIPv6(address) && !address.includes('%') ? 128 : undefined;
  const prefix = Number(length);
  if (!bits || !/^\d+$/.test(length) || prefix > bits) return undefined;
  const host = BigInt(bits - prefix);
  return { bits, first: (numberOf(address, bits) >> host) << host, prefix };
}

function numberOf(address: string, bits: 32 | 128): bigint {
  if (bits === 32) return address.split('.').reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);
  // What ends as IPv4 does is two more groups.
  const plain = address.replace(/[\d.]+$/, (end) => {
    if (!end.includes('.')) return end;
    const number = numberOf(end, 32);
    return `${(number >> 16n).toString(16)}:${(number & 0xffffn).toString(16)}`;
  });
  const [head = [], tail = []] = plain.split('::').map((half) => half.split(':').filter(Boolean));
  const groups = [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail];
  return groups.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}

function textOf(first: bigint, bits: 32 | 128): string {
  if (bits === 32) return [24n, 16n, 8n, 0n].map((shift) => (first >> shift) & 255n).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((first >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

/** A range cut into equal blocks, given out one by one: a block that came back is given out again after all others. */
export class CidrSet {
  readonly #range: Range;
  readonly #mask: number;
  /** How many hold a block; hand-made nodes may hold the same. */
  readonly #held = new Map<number, number>();
  #next = 0;

  /** Throws an Error when blocks of `mask` do not fit or are too many to be counted. */
  constructor(cidr: string, mask: number) {
    const range = parseRange(cidr);
    if (!range) throw new Error(`--cluster-cidr: expected a range such as 10.244.0.0/16 or fd00:1::/56, got "${cidr}"`);
    if (mask < range.prefix || mask > range.bits)
      throw new Error(`a node's range of /${mask} does not fit into the cluster's ${cidr}`);
    if (range.bits === 128 && mask - range.prefix > 16)
      throw new Error(`${cidr} has more than 65536 ranges of /${mask}: choose a smaller one or a shorter mask`);
    this.#range = range;
    this.#mask = mask;
  }

  get family(): 'IPv4' | 'IPv6' {
    return this.#range.bits === 32 ? 'IPv4' : 'IPv6';
  }

  get size(): number {
    return 2 ** (this.#mask - this.#range.prefix);
  }

  /** A block nobody holds, held from now on; undefined when there is none. */
  take(): string | undefined {
    if (this.#held.size >= this.size) return undefined;
    while (this.#held.has(this.#next)) this.#next = (this.#next + 1) % this.size;
    const block = this.#next;
    this.#held.set(block, 1);
    this.#next = (block + 1) % this.size;
    const { first, bits } = this.#range;
    return `${textOf(first + (BigInt(block) << BigInt(bits - this.#mask)), bits)}/${this.#mask}`;
  }

  /** All blocks that the range touches are held once more. False when it touches none. */
  hold(cidr: string): boolean {
    const blocks = this.#blocksOf(cidr);
    for (const block of blocks) this.#held.set(block, (this.#held.get(block) ?? 0) + 1);
    return blocks.length > 0;
  }

  release(cidr: string): void {
    for (const block of this.#blocksOf(cidr)) {
      const count = this.#held.get(block) ?? 0;
      if (count > 1) this.#held.set(block, count - 1);
      else this.#held.delete(block);
    }
  }

  #blocksOf(cidr: string): number[] {
    const other = parseRange(cidr);
    const { bits, first, prefix } = this.#range;
    if (other?.bits !== bits) return [];
    const last = first + (1n << BigInt(bits - prefix)) - 1n;
    const otherLast = other.first + (1n << BigInt(bits - other.prefix)) - 1n;
    if (otherLast < first || other.first > last) return [];
    const shift = BigInt(bits - this.#mask);
    const from = Number(((other.first > first ? other.first : first) - first) >> shift);
    const to = Number(((otherLast < last ? otherLast : last) - first) >> shift);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  }
}
