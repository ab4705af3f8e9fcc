/**
 * The Store port: what the apiserver asks of a revisioned key-value store, in etcd's terms.
 * Two implementations, etcd.ts and embedded.ts; test/apiserver/store.suite.ts holds both to this contract.
 *
 * Keys are `/registry/<group>/<resource>/<namespace>/<name>`; values are opaque bytes.
 * A revision is a positive integer that grows with every write to the whole store (below 2^53).
 */
export interface Store {
  /** One key, as of now. */
  get(key: string): Promise<{ revision: number; item: Item | undefined }>;
  /**
   * Items whose key starts with `prefix`, in key order, all of one revision.
   * `revision` asks for the state at that revision (Compacted if it is gone, FutureRevision if it is not yet there);
   * `from` skips keys below it; `limit` bounds the page and `more`/`remaining` say what was left off.
   */
  list(prefix: string, options?: { revision?: number; limit?: number; from?: string }): Promise<Page>;
  /**
   * Writes if the key's mod revision is `expected` (0: the key must not exist). Otherwise nothing is written and
   * `current` holds what is there now.
   */
  put(key: string, value: Uint8Array, expected: number): Promise<Written>;
  /** Deletes if the key's mod revision is `expected`. */
  delete(key: string, expected: number): Promise<Written>;
  /**
   * Every change under `prefix` after revision `after`, in order, none twice; events of one revision come in one batch.
   * Ends when the signal aborts; throws Compacted if `after` is older than the kept history, and any other error if the
   * connection cannot be resumed. A batch without events tells that nothing happened up to its revision.
   */
  watch(prefix: string, after: number, signal: AbortSignal): AsyncIterable<Batch>;
  /** Forgets the history before `revision`. */
  compact(revision: number): Promise<void>;
  /** Resolves when the store answers; rejects with a sentence that says why it does not. */
  ping(signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

export interface Item {
  key: string;
  value: Uint8Array;
  /** Revision of the last write to this key. */
  revision: number;
  /** Revision of the write that created the key. */
  created: number;
  /** The value lies there in an old form and should be written again, even unchanged. */
  stale?: boolean;
}

export interface Page {
  revision: number;
  items: Item[];
  more: boolean;
  /** How many items under the prefix lie behind this page. */
  remaining: number;
}

export type Written = { ok: true; revision: number } | { ok: false; current: Item | undefined };

export interface Batch {
  revision: number;
  events: Change[];
}

export type Change = { type: 'put'; item: Item } | { type: 'delete'; key: string; revision: number };

/** The asked revision is older than the history that is kept. Towards API users: 410 Gone, reason Expired. */
export class Compacted extends Error {
  readonly oldest: number;
  constructor(asked: number, oldest: number) {
    super(`revision ${asked} has been compacted; the oldest one kept is ${oldest}`);
    this.name = 'Compacted';
    this.oldest = oldest;
  }
}

/** The asked revision has not happened yet. */
export class FutureRevision extends Error {
  readonly current: number;
  constructor(asked: number, current: number) {
    super(`revision ${asked} is in the future; the store is at ${current}`);
    this.name = 'FutureRevision';
    this.current = current;
  }
}

/** The store takes no value of this size. */
export class TooLarge extends Error {
  constructor(cause?: unknown) {
    super('the object is larger than the store takes', { cause });
    this.name = 'TooLarge';
  }
}

/** The store cannot be reached, or did not answer in time. `maybeWritten`: a write may have happened all the same. */
export class StoreUnavailable extends Error {
  readonly maybeWritten: boolean;
  constructor(message: string, maybeWritten: boolean, cause?: unknown) {
    super(message, { cause });
    this.name = 'StoreUnavailable';
    this.maybeWritten = maybeWritten;
  }
}
