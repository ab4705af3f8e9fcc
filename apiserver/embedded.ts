import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { Channel } from '../lib/channel.ts';
import {
  Compacted,
  FutureRevision,
  type Batch,
  type Change,
  type Item,
  type Page,
  type Store,
  type Written,
} from './store.ts';

interface Row {
  revision: number;
  key: string;
  /** null: the write was a deletion. */
  value: Uint8Array | null;
  created: number;
}

interface Pending {
  key: string;
  value: Uint8Array | null;
  expected: number;
  resolve: (written: Written) => void;
  reject: (error: Error) => void;
}

interface Listener {
  prefix: string;
  channel: Channel<Batch>;
}

const schema = `
  PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA locking_mode = EXCLUSIVE;
  CREATE TABLE IF NOT EXISTS log (
    revision INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB, created INTEGER NOT NULL);
  CREATE INDEX IF NOT EXISTS log_by_key ON log (key, revision);
  CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
  INSERT OR IGNORE INTO counter VALUES ('revision', 1), ('compacted', 0);`;

const current = `SELECT max(revision) AS at FROM log WHERE key >= ? AND key < ? AND revision <= ? GROUP BY key`;

/** Batches that may wait for one watcher. */
const watcherLimit = 65536;

/**
 * The Store of the try-out: a log of writes in one SQLite file (or ':memory:'), with etcd's revisions, watches and
 * compaction. Writes of one turn of the event loop are committed together, so that one fsync serves them all.
 * One process owns the file.
 */
export function openEmbedded(path: string): Store {
  return new Embedded(path);
}

class Embedded implements Store {
  readonly #db: DatabaseSync;
  readonly #listeners = new Set<Listener>();
  readonly #latest: StatementSync;
  readonly #insert: StatementSync;
  readonly #page: StatementSync;
  readonly #count: StatementSync;
  readonly #after: StatementSync;
  #revision: number;
  #compacted: number;
  #pending: Pending[] = [];
  #closed = false;

  constructor(path: string) {
    try {
      this.#db = new DatabaseSync(path);
      this.#db.exec(schema);
    } catch (cause) {
      throw new Error(
        `cannot open the embedded store ${path}; is another process using it? (${(cause as Error).message})`,
        { cause },
      );
    }
    this.#latest = this.#db.prepare('SELECT * FROM log WHERE key = ? ORDER BY revision DESC LIMIT 1');
    this.#insert = this.#db.prepare('INSERT INTO log VALUES (?, ?, ?, ?)');
    this.#page = this.#db.prepare(
      `SELECT log.* FROM (${current}) JOIN log ON revision = at WHERE value IS NOT NULL ORDER BY key LIMIT ?`,
    );
    this.#count = this.#db.prepare(
      `SELECT count(*) AS n FROM (${current}) JOIN log ON revision = at WHERE value IS NOT NULL`,
    );
    this.#after = this.#db.prepare('SELECT * FROM log WHERE revision > ? AND key >= ? AND key < ? ORDER BY revision');
    const counters = this.#db.prepare('SELECT name, value FROM counter').all() as { name: string; value: number }[];
    const counter = (name: string) => counters.find((row) => row.name === name)!.value;
    const newest = this.#db.prepare('SELECT max(revision) AS n FROM log').get() as { n: number | null };
    this.#revision = Math.max(counter('revision'), newest.n ?? 0);
    this.#compacted = counter('compacted');
  }

  async get(key: string): Promise<{ revision: number; item: Item | undefined }> {
    this.#ensureOpen();
    return { revision: this.#revision, item: itemOf(this.#row(key)) };
  }

  async list(prefix: string, options: { revision?: number; limit?: number; from?: string } = {}): Promise<Page> {
    this.#ensureOpen();
    const revision = options.revision || this.#revision;
    if (revision > this.#revision) throw new FutureRevision(revision, this.#revision);
    if (revision < this.#compacted) throw new Compacted(revision, this.#compacted);
    const from = options.from !== undefined && options.from > prefix ? options.from : prefix;
    const range = [from, endOf(prefix), revision] as const;
    const rows = this.#page.all(...range, options.limit || -1) as unknown[];
    const items = rows.map((row) => itemOf(row as Row)!);
    const total =
      options.limit && items.length === options.limit ? (this.#count.get(...range) as { n: number }).n : items.length;
    return { revision, items, more: total > items.length, remaining: total - items.length };
  }

  put(key: string, value: Uint8Array, expected: number): Promise<Written> {
    return this.#write(key, value, expected);
  }

  delete(key: string, expected: number): Promise<Written> {
    return this.#write(key, null, expected);
  }

  async *watch(prefix: string, after: number, signal: AbortSignal): AsyncIterable<Batch> {
    this.#ensureOpen();
    if (after < this.#compacted) throw new Compacted(after, this.#compacted);
    const channel = new Channel<Batch>(watcherLimit);
    const listener = { prefix, channel };
    const stop = () => channel.end();
    for (const row of this.#after.iterate(after, prefix, endOf(prefix)) as Iterable<unknown>)
      channel.push({ revision: (row as Row).revision, events: [this.#change(row as Row)] });
    this.#listeners.add(listener);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    try {
      for await (const batch of channel) if (batch.revision > after) yield batch;
    } finally {
      this.#listeners.delete(listener);
      signal.removeEventListener('abort', stop);
    }
  }

  async compact(revision: number): Promise<void> {
    this.#ensureOpen();
    if (revision > this.#revision) throw new FutureRevision(revision, this.#revision);
    if (revision <= this.#compacted) return;
    this.#db.exec('BEGIN');
    this.#db
      .prepare(
        `DELETE FROM log WHERE revision <= ?1 AND (value IS NULL OR EXISTS (
           SELECT 1 FROM log AS newer WHERE newer.key = log.key AND newer.revision > log.revision AND newer.revision <= ?1))`,
      )
      .run(revision);
    this.#db.prepare(`UPDATE counter SET value = ? WHERE name = 'compacted'`).run(revision);
    this.#db.prepare(`UPDATE counter SET value = ? WHERE name = 'revision'`).run(this.#revision);
    this.#db.exec('COMMIT');
    this.#compacted = revision;
  }

  async ping(): Promise<void> {
    this.#ensureOpen();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#flush();
    this.#closed = true;
    for (const { channel } of this.#listeners) channel.end(new Error('the embedded store was closed'));
    this.#db.close();
  }

  #ensureOpen(): void {
    if (this.#closed) throw new Error('the embedded store is closed');
  }

  #row(key: string): Row | undefined {
    return this.#latest.get(key) as unknown as Row | undefined;
  }

  #change(row: Row): Change {
    const item = itemOf(row);
    return item ? { type: 'put', item } : { type: 'delete', key: row.key, revision: row.revision };
  }

  #write(key: string, value: Uint8Array | null, expected: number): Promise<Written> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new Error('the embedded store is closed'));
      this.#pending.push({ key, value, expected, resolve, reject });
      if (this.#pending.length === 1) setImmediate(() => this.#flush());
    });
  }

  /** Commits everything that waits, then tells the writers and the watchers. */
  #flush(): void {
    const pending = this.#pending;
    if (pending.length === 0) return;
    this.#pending = [];
    const before = this.#revision;
    try {
      this.#db.exec('BEGIN');
      const results = pending.map((write) => this.#apply(write));
      this.#db.exec('COMMIT');
      for (const { row } of results) if (row) this.#tell(row);
      for (const [i, { written }] of results.entries()) pending[i]!.resolve(written);
    } catch (error) {
      this.#revision = before;
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      for (const { reject } of pending) reject(error as Error);
    }
  }

  #apply({ key, value, expected }: Pending): { written: Written; row?: Row } {
    const now = this.#row(key);
    const there = itemOf(now);
    if ((there?.revision ?? 0) !== expected || (value === null && !there))
      return { written: { ok: false, current: there } };
    const revision = ++this.#revision;
    const row = { revision, key, value, created: there?.created ?? revision };
    this.#insert.run(row.revision, row.key, row.value, row.created);
    return { written: { ok: true, revision }, row };
  }

  #tell(row: Row): void {
    let batch: Batch | undefined;
    for (const { prefix, channel } of this.#listeners)
      if (row.key.startsWith(prefix)) channel.push((batch ??= { revision: row.revision, events: [this.#change(row)] }));
  }
}

function itemOf(row: Row | undefined): Item | undefined {
  if (!row || row.value === null) return undefined;
  return { key: row.key, value: row.value, revision: row.revision, created: row.created };
}

/** The first key behind all keys with a prefix. */
const endOf = (prefix: string): string =>
  `${prefix.slice(0, -1)}${String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)}`;
