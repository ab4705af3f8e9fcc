import type { OnReadOpts, Socket } from 'node:net';

/** Bytes of buffers that wait for one socket before the other is held back; it goes on when half of them are written. */
const mostOfOne = 2 * 1024 * 1024;
/** The same of all connections together: above it, each has at most what it read last. */
const mostOfAll = 256 * 1024 * 1024;
/** Bytes of buffers that nobody uses and that are kept. */
const mostSpare = 16 * 1024 * 1024;
/** Bytes that are read at once. */
const smallestRead = 16 * 1024;
const largestRead = 512 * 1024;

/** What relays have in memory, all together: what was read and is not yet written, and buffers to be used again. */
export class RelayMemory {
  readonly #most: number;
  readonly #spare = new Map<number, Buffer[]>();
  #spareBytes = 0;
  #waiting = 0;

  constructor(most = mostOfAll) {
    this.#most = most;
  }

  /** Bytes of buffers with something that is not yet written. */
  get waiting(): number {
    return this.#waiting;
  }

  get isFull(): boolean {
    return this.#waiting >= this.#most;
  }

  take(size: number): Buffer {
    const spare = this.#spare.get(size)?.pop();
    if (spare) this.#spareBytes -= size;
    return spare ?? Buffer.allocUnsafeSlow(size);
  }

  read({ length }: Buffer): void {
    this.#waiting += length;
  }

  written(buffer: Buffer): void {
    const size = buffer.length;
    this.#waiting -= size;
    if (this.#spareBytes + size > mostSpare) return;
    this.#spareBytes += size;
    const spare = this.#spare.get(size);
    if (spare) spare.push(buffer);
    else this.#spare.set(size, [buffer]);
  }
}

/**
 * Reads of one socket are written to the other, from buffers that are used again once they are written; they grow with what comes, so that
 * silent connections hold little and busy ones need an eighth of the system calls that the sockets of Node make by themselves.
 */
export function relaying(from: () => Socket, to: () => Socket, memory: RelayMemory): OnReadOpts {
  let size = smallestRead;
  let waiting = 0;
  let isHeld = false;
  return {
    buffer: () => memory.take(memory.isFull ? smallestRead : size),
    callback: (count, bytes) => {
      const buffer = Buffer.from(bytes.buffer);
      if (count === buffer.length) size = Math.min(size * 4, largestRead);
      else if (count < size / 8) size = Math.max(size / 4, smallestRead);
      const target = to();
      // What one turn of the event loop reads is written at once: each write may have to wake who waits for it.
      if (target.writableCorked === 0) {
        target.cork();
        setImmediate(() => target.uncork());
      }
      waiting += buffer.length;
      memory.read(buffer);
      target.write(buffer.subarray(0, count), () => {
        waiting -= buffer.length;
        memory.written(buffer);
        if (!isHeld || waiting > (memory.isFull ? 0 : mostOfOne / 2)) return;
        isHeld = false;
        from().resume();
      });
      isHeld = memory.isFull || waiting >= mostOfOne;
      return !isHeld;
    },
  };
}
