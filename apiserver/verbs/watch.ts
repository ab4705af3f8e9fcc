import { forbiddenField, invalid } from '../../api/field-error.ts';
import { shownFrom, type Kind } from '../../api/kind.ts';
import { badRequest, expired, internalError, StatusError } from '../../api/status.ts';
import type { Cache, CacheEvent, EventType } from '../cache.ts';
import type { Call } from '../call.ts';
import type { Entry } from '../encoding.ts';
import { EventEncoder, shownBy } from '../event-encoder.ts';
import type { Registry } from '../registry.ts';
import { readSelection, selects, type Selection } from '../selection.ts';
import { contentTypes } from '../negotiate.ts';
import { served } from '../served.ts';
import { readIncludeObject } from '../table.ts';
import { parseRevision, settle } from '../versions.ts';

/** Where a watch writes to: one HTTP response or WebSocket. */
export interface Sink {
  write: (bytes: Buffer) => void;
  /** Every write is one message: events must not be joined. */
  oneByOne?: boolean;
  /** Bytes that wait for a slow reader. */
  readonly waiting: number;
  end: () => void;
}

/** Bytes that may wait for one watcher before it is cut off. */
const waitingLimit = 8 * 1024 * 1024;
/** Batches that may wait for one watcher's conversion. */
const turnLimit = 1000;
const bookmarkEveryMs = 60_000;

/** A watch that was found in order; `open` starts it. */
export interface Watch {
  contentType: string;
  open: (sink: Sink) => void;
}

/** GET of a collection with `watch=true`. Refusals are thrown before anything is sent. */
export async function watch(registry: Registry, call: Call): Promise<Watch> {
  const { kind, query } = call;
  const namedOnly = call.name ? `metadata.name=${call.name}` : '';
  if (namedOnly) query.set('fieldSelector', [query.get('fieldSelector'), namedOnly].filter(Boolean).join(','));
  const selection = readSelection(kind, call.namespace, query);
  const text = query.get('resourceVersion') ?? '';
  const revision = parseRevision(text);
  const sendInitial = readSendInitial(query);
  const bookmarks = query.get('allowWatchBookmarks') === 'true' || query.get('allowWatchBookmarks') === '1';
  const seconds = readTimeout(query.get('timeoutSeconds'));
  if (sendInitial || revision === undefined) await settle(registry.feed, { revision, exact: false });
  const cache = registry.feed.cache(kind);
  const fromState = sendInitial || revision === undefined || revision === 0;
  const missed = fromState ? [] : cache.since(revision);
  const encoder = new EventEncoder(kind, call.output, readIncludeObject(query));
  const start = {
    after: fromState ? registry.feed.revision : revision,
    entries: fromState && sendInitial !== false ? cache.list(selection.namespace) : [],
    missed,
  };
  return {
    contentType: call.output.media === 'json' ? contentTypes.json : `${contentTypes.protobuf};stream=watch`,
    open: (sink) =>
      new Session(registry, kind, selection, encoder, sink, call.signal).run(start, {
        bookmarks,
        seconds,
        initialEnd: sendInitial === true && bookmarks,
      }),
  };
}

function readSendInitial(query: URLSearchParams): boolean | undefined {
  const text = query.get('sendInitialEvents');
  const match = query.get('resourceVersionMatch') ?? '';
  const options = { group: 'meta.k8s.io', kind: 'ListOptions' };
  if (text === null) {
    if (match)
      throw invalid(options, '', [
        forbiddenField(
          'resourceVersionMatch',
          'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
        ),
      ]);
    return undefined;
  }
  if (match !== 'NotOlderThan')
    throw invalid(options, '', [
      forbiddenField('resourceVersionMatch', 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'),
    ]);
  return text === 'true' || text === '1';
}

function readTimeout(text: string | null): number {
  if (!text) return 1800 + Math.random() * 1800;
  if (!/^\d+$/.test(text)) throw badRequest(`strconv.ParseInt: parsing "${text}": invalid syntax`);
  return Number(text) || 1800 + Math.random() * 1800;
}

interface Start {
  after: number;
  entries: readonly Entry[];
  missed: readonly CacheEvent[];
}

interface SessionOptions {
  bookmarks: boolean;
  seconds: number;
  initialEnd: boolean;
}

/** One watcher: turns changes of the cache into events of its selection until somebody ends it. */
class Session {
  readonly #registry: Registry;
  readonly #kind: Kind;
  /** Whether objects are shown in another form than they are kept in. */
  readonly #isConverted: boolean;
  readonly #cache: Cache;
  readonly #selection: Selection;
  readonly #encoder: EventEncoder;
  readonly #sink: Sink;
  readonly #signal: AbortSignal;
  #unfollow: () => void = () => undefined;
  #timers: NodeJS.Timeout[] = [];
  #ended = false;
  /** What waits for a conversion that takes its time; undefined where none ever did. */
  #turn: Promise<void> | undefined;
  #inTurn = 0;
  /** The caller has seen everything up to here; another server may have shown it more than this one knows. */
  #after = 0;
  /** Bytes that may wait: more while the state that a watch begins with is still on its way. */
  #limit = waitingLimit;

  constructor(
    registry: Registry,
    kind: Kind,
    selection: Selection,
    encoder: EventEncoder,
    sink: Sink,
    signal: AbortSignal,
  ) {
    this.#registry = registry;
    this.#kind = kind;
    this.#isConverted = shownFrom(kind) !== undefined;
    this.#cache = registry.feed.cache(kind);
    this.#selection = selection;
    this.#encoder = encoder;
    this.#sink = sink;
    this.#signal = signal;
  }

  run(start: Start, options: SessionOptions): void {
    if (this.#signal.aborted) return this.#end();
    this.#signal.addEventListener('abort', this.#stop, { once: true });
    this.#after = start.after;
    const entries = start.entries.filter((entry) => selects(this.#selection, entry));
    this.#inVersion(entries, () => {
      for (const entry of entries) {
        const event = this.#encoder.fresh('ADDED', entry);
        this.#limit += event.length;
        this.#sink.write(event);
      }
      if (options.initialEnd) this.#sink.write(this.#encoder.bookmark(start.after, true));
    });
    this.#take(start.missed);
    if (this.#ended) return;
    this.#unfollow = this.#cache.watchers.follow({
      events: (events) => this.#take(events),
      lost: () => this.#fail(lostPlace()),
    });
    if (options.bookmarks)
      this.#timers.push(setInterval(() => this.#bookmark(), bookmarkEveryMs * (0.9 + Math.random() * 0.2)));
    const timeout = setTimeout(() => {
      if (options.bookmarks) this.#bookmark();
      this.#end();
    }, options.seconds * 1000);
    this.#timers.push(timeout);
  }

  #bookmark(): void {
    this.#cache.watchers.flush();
    const { revision } = this.#registry.feed;
    this.#inVersion([], () => this.#sink.write(this.#encoder.bookmark(revision, false)));
  }

  /** Writes once the entries are there in the watcher's version, after all that was to be written before. */
  #inVersion(entries: readonly Entry[], write: () => void): void {
    if (!this.#isConverted) return write();
    const made = this.#turn ? this.#turn.then(() => served(this.#kind, entries)) : served(this.#kind, entries);
    if (!(made instanceof Promise)) return write();
    this.#inTurn += 1;
    this.#turn = made.then(
      () => {
        this.#inTurn -= 1;
        if (!this.#ended) write();
      },
      (error: unknown) => this.#fail(error instanceof StatusError ? error : internalError((error as Error).message)),
    );
  }

  #take(given: readonly CacheEvent[]): void {
    const isNews = given.length === 0 || given[0]!.revision > this.#after;
    const events = isNews ? given : given.filter(({ revision }) => revision > this.#after);
    if (this.#ended || events.length === 0) return;
    this.#after = events.at(-1)!.revision;
    const { waiting } = this.#sink;
    if (waiting > this.#limit || this.#inTurn > turnLimit)
      return this.#fail(expired('the watcher was too slow: list again'));
    if (waiting < waitingLimit) this.#limit = waitingLimit;
    if (this.#selection.namespace === '' && !this.#selection.matches && !this.#isConverted && !this.#sink.oneByOne) {
      this.#sink.write(this.#encoder.batch(events));
      return;
    }
    const told = events.flatMap((event) => {
      const type = this.#translate(event);
      return type ? [{ type, event }] : [];
    });
    if (told.length === 0) return;
    this.#inVersion(
      told.map(({ type, event }) => shownBy(type, event)),
      () => this.#writeAll(told.map(({ type, event }) => this.#encoder.event(type, event))),
    );
  }

  #writeAll(pieces: Buffer[]): void {
    if (this.#sink.oneByOne) for (const piece of pieces) this.#sink.write(piece);
    else this.#sink.write(pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces));
  }

  /** What a change means to this selection: an object that leaves it is deleted, one that enters it is added. */
  #translate({ type, entry, previous }: CacheEvent): EventType | undefined {
    const was = previous !== undefined && selects(this.#selection, previous);
    if (type === 'DELETED') return was ? 'DELETED' : undefined;
    const is = selects(this.#selection, entry);
    if (is) return was ? 'MODIFIED' : 'ADDED';
    return was ? 'DELETED' : undefined;
  }

  #fail(error: StatusError): void {
    if (this.#ended) return;
    this.#sink.write(this.#encoder.error(error.status));
    this.#end();
  }

  readonly #stop = (): void => this.#end();

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#signal.removeEventListener('abort', this.#stop);
    this.#unfollow();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#sink.end();
  }
}

const lostPlace = (): StatusError => expired('The resourceVersion for the provided watch is too old.');
