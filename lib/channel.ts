/** Thrown into the reader of a channel whose writer was too fast for it. */
export class ChannelOverflow extends Error {
  constructor(limit: number) {
    super(`reader too slow: more than ${limit} items were waiting`);
    this.name = 'ChannelOverflow';
  }
}

/**
 * A bounded queue between a writer that pushes and one reader that iterates.
 *
 *   push(a) push(b) ──▶ [a, b] ──▶ for await (const item of channel)
 *
 * The writer never waits. Past `limit` waiting items the channel ends with ChannelOverflow, so that a slow
 * reader is cut off and memory stays bounded. Items pushed before `end()` are still read.
 */
export class Channel<T> implements AsyncIterable<T> {
  readonly #limit: number;
  #items: T[] = [];
  #head = 0;
  #ended = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(limit = Infinity) {
    this.#limit = limit;
  }

  /** Items that wait to be read. */
  get size(): number {
    return this.#items.length - this.#head;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Returns false when the channel has ended and the item was dropped. */
  push(item: T): boolean {
    if (this.#ended) return false;
    if (this.size >= this.#limit) {
      this.#items = [];
      this.#head = 0;
      this.end(new ChannelOverflow(this.#limit));
      return false;
    }
    this.#items.push(item);
    this.#wake?.();
    return true;
  }

  /** Ends the iteration after what waits has been read; with an error the reader gets it thrown. */
  end(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    try {
      for (;;) {
        while (this.size > 0) yield this.#take();
        if (this.#error) throw this.#error;
        if (this.#ended) return;
        await new Promise<void>((resolve) => (this.#wake = resolve));
        this.#wake = undefined;
      }
    } finally {
      this.end();
    }
  }

  #take(): T {
    const item = this.#items[this.#head]!;
    this.#items[this.#head] = undefined as T;
    this.#head += 1;
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}
