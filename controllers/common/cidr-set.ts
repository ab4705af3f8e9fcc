import { formatAddress, parseCidr, sizeOf, widthOf, type Cidr } from '../../api/cidr.ts';

/** A range cut into equal blocks, given out one by one: a block that came back is given out again after all others. */
export class CidrSet {
  readonly #range: Cidr;
  readonly #mask: number;
  /** How many hold a block; hand-made nodes may hold the same. */
  readonly #held = new Map<number, number>();
  #next = 0;

  /** Throws an Error when blocks of `mask` do not fit or are too many to be counted. */
  constructor(cidr: string, mask: number) {
    const range = parseCidr(cidr);
    if (!range) throw new Error(`--cluster-cidr: expected a range such as 10.244.0.0/16 or fd00:1::/56, got "${cidr}"`);
    if (mask < range.bits || mask > widthOf(range.family))
      throw new Error(`a node's range of /${mask} does not fit into the cluster's ${cidr}`);
    if (range.family === 6 && mask - range.bits > 16)
      throw new Error(`${cidr} has more than 65536 ranges of /${mask}: choose a smaller one or a shorter mask`);
    this.#range = range;
    this.#mask = mask;
  }

  get family(): 'IPv4' | 'IPv6' {
    return this.#range.family === 4 ? 'IPv4' : 'IPv6';
  }

  get size(): number {
    return 2 ** (this.#mask - this.#range.bits);
  }

  /** A block nobody holds, held from now on; undefined when there is none. */
  take(): string | undefined {
    if (this.#held.size >= this.size) return undefined;
    while (this.#held.has(this.#next)) this.#next = (this.#next + 1) % this.size;
    const block = this.#next;
    this.#held.set(block, 1);
    this.#next = (block + 1) % this.size;
    const { base, family } = this.#range;
    const value = base + (BigInt(block) << BigInt(widthOf(family) - this.#mask));
    return `${formatAddress({ family, value })}/${this.#mask}`;
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
    const other = parseCidr(cidr);
    const { family, base } = this.#range;
    if (other?.family !== family) return [];
    const last = base + sizeOf(this.#range) - 1n;
    const otherLast = other.base + sizeOf(other) - 1n;
    if (otherLast < base || other.base > last) return [];
    const shift = BigInt(widthOf(family) - this.#mask);
    const from = Number(((other.base > base ? other.base : base) - base) >> shift);
    const to = Number(((otherLast < last ? otherLast : last) - base) >> shift);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  }
}
