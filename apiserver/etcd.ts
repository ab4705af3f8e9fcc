import { Backoff } from '../lib/backoff.ts';
import { Channel } from '../lib/channel.ts';
import { delay } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import { GrpcClient, GrpcError } from './etcd/grpc.ts';
import * as messages from './etcd/messages.ts';
import {
  Compacted,
  FutureRevision,
  StoreUnavailable,
  TooLarge,
  type Batch,
  type Change,
  type Item,
  type Page,
  type Store,
  type Written,
} from './store.ts';

export interface EtcdOptions {
  endpoints: readonly string[];
  ca: Buffer | undefined;
  cert: Buffer | undefined;
  key: Buffer | undefined;
  /** '' where etcd asks for no password. */
  user: string;
  password: string;
  log: Logger;
  /** How often the connection is tried, milliseconds; ten seconds unless told. */
  pingEveryMs?: number;
}

const kv = '/etcdserverpb.KV';
const outOfRange = 11;
const unauthenticated = 16;
const permissionDenied = 7;
const invalidArgument = 3;
const resourceExhausted = 8;

/** Batches that may wait for one watcher. */
const watcherLimit = 65536;

/** The Store over etcd v3. Nothing is kept here: any number of these may share one etcd. */
export function openEtcd(options: EtcdOptions): Store {
  return new Etcd(options);
}

class Etcd implements Store {
  readonly #options: EtcdOptions;
  readonly #client: GrpcClient;
  readonly #closing = new AbortController();
  #login: Promise<void> | undefined;

  constructor(options: EtcdOptions) {
    this.#options = options;
    this.#client = new GrpcClient(options);
  }

  async get(key: string): Promise<{ revision: number; item: Item | undefined }> {
    const { revision, items } = await this.#range(key, {});
    return { revision, item: items[0] };
  }

  async list(prefix: string, options: { revision?: number; limit?: number; from?: string } = {}): Promise<Page> {
    const { revision = 0, limit = 0 } = options;
    const from = options.from !== undefined && options.from > prefix ? options.from : prefix;
    const answer = await this.#range(from, { end: messages.endOf(prefix), limit, revision });
    const left = answer.count - answer.items.length;
    return { revision: revision || answer.revision, items: answer.items, more: left > 0, remaining: left };
  }

  async #range(key: string, options: messages.RangeOptions): Promise<messages.RangeResponse> {
    try {
      return messages.rangeResponse(await this.#call(`${kv}/Range`, messages.rangeRequest(key, options), false));
    } catch (error) {
      throw await this.#outOfRange(error, options.revision ?? 0);
    }
  }

  /** etcd says in words only whether a revision is too old or too new. */
  async #outOfRange(error: unknown, asked: number): Promise<unknown> {
    if (!(error instanceof GrpcError) || error.code !== outOfRange) return error;
    if (error.message.includes('compacted')) return new Compacted(asked, asked + 1);
    const { revision } = await this.#range('\0', {});
    return new FutureRevision(asked, revision);
  }

  put(key: string, value: Uint8Array, expected: number): Promise<Written> {
    return this.#swap(key, expected, value);
  }

  delete(key: string, expected: number): Promise<Written> {
    return this.#swap(key, expected, undefined);
  }

  async #swap(key: string, expected: number, value: Uint8Array | undefined): Promise<Written> {
    if (value === undefined && expected === 0) return { ok: false, current: (await this.get(key)).item };
    const body = messages.swapRequest(key, expected, value);
    const { succeeded, revision, current } = messages.swapResponse(await this.#call(`${kv}/Txn`, body, true));
    return succeeded ? { ok: true, revision } : { ok: false, current };
  }

  async *watch(prefix: string, after: number, signal: AbortSignal): AsyncIterable<Batch> {
    const channel = new Channel<Batch>(watcherLimit);
    const stopping = AbortSignal.any([signal, this.#closing.signal]);
    const reader = new AbortController();
    void this.#follow(prefix, after, AbortSignal.any([stopping, reader.signal]), channel);
    try {
      yield* channel;
    } finally {
      reader.abort();
    }
  }

  /** Keeps a watch going over lost connections; each time it resumes behind the last revision it has seen. */
  async #follow(prefix: string, after: number, signal: AbortSignal, channel: Channel<Batch>): Promise<void> {
    const backoff = new Backoff({ first: 50, max: 2000 });
    let seen = after;
    let trouble = '';
    while (!signal.aborted && !channel.ended) {
      try {
        await this.#authenticated();
        await this.#watchOnce(prefix, seen, signal, (batch) => {
          backoff.reset();
          trouble = '';
          seen = batch.revision;
          channel.push(batch);
        });
      } catch (error) {
        if (error instanceof Compacted) return channel.end(error);
        if (signal.aborted) break;
        if (isStaleLogin(error)) this.#login = undefined;
        const { message } = error as Error;
        if (message !== trouble) this.#options.log.warn({ err: error }, 'the watch of etcd broke and is resumed');
        trouble = message;
        await delay(backoff.next(), signal).catch(() => undefined);
      }
    }
    channel.end();
  }

  #watchOnce(prefix: string, after: number, signal: AbortSignal, take: (batch: Batch) => void): Promise<void> {
    let pieces: Change[] = [];
    const request = messages.watchRequest(prefix, messages.endOf(prefix), after + 1);
    return this.#client.stream('/etcdserverpb.Watch/Watch', request, signal, (body) => {
      const answer = messages.watchResponse(body);
      if (answer.canceled) {
        if (answer.compactRevision > 0) throw new Compacted(after, answer.compactRevision);
        throw new Error(`etcd cancelled the watch: ${answer.reason || 'no reason given'}`);
      }
      if (answer.created) return;
      pieces = pieces.length > 0 ? pieces.concat(answer.changes) : answer.changes;
      if (answer.fragment) return;
      const events = pieces;
      pieces = [];
      // While a watch catches up the header is ahead of the events: it counts only when it comes alone.
      take({ revision: events.length > 0 ? revisionOf(events.at(-1)!) : answer.revision, events });
    });
  }

  async compact(revision: number): Promise<void> {
    if (revision <= 0) return;
    try {
      await this.#call(`${kv}/Compact`, messages.compactRequest(revision), true);
    } catch (error) {
      if (!(error instanceof GrpcError) || error.code !== outOfRange) throw error;
      // Another apiserver was quicker.
      if (error.message.includes('compacted')) return;
      throw await this.#outOfRange(error, revision);
    }
  }

  async ping(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    await this.get('/registry/-');
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#client.close();
  }

  async #call(path: string, body: Uint8Array, isWrite: boolean): Promise<Buffer> {
    try {
      if (!this.#options.user) return await this.#client.unary(path, body, isWrite);
      return await this.#callAsUser(path, body, isWrite);
    } catch (error) {
      throw error instanceof GrpcError ? meaningOf(error) : error;
    }
  }

  async #callAsUser(path: string, body: Uint8Array, isWrite: boolean): Promise<Buffer> {
    await this.#authenticated();
    const login = this.#login;
    try {
      return await this.#client.unary(path, body, isWrite);
    } catch (error) {
      if (!isStaleLogin(error)) throw error;
      // A refused call has done nothing. Of many refused at once the first logs in again, for all.
      if (this.#login === login) this.#login = undefined;
      await this.#authenticated();
      return this.#client.unary(path, body, isWrite);
    }
  }

  #authenticated(): Promise<void> {
    const { user, password } = this.#options;
    if (!user) return Promise.resolve();
    this.#login ??= this.#client
      .unary('/etcdserverpb.Auth/Authenticate', messages.authenticateRequest(user, password), false)
      .then(
        (body) => void (this.#client.token = messages.readToken(body)),
        (error: unknown) => {
          // A password is no harm where etcd asks for none.
          if (error instanceof GrpcError && error.message.includes('authentication is not enabled')) return;
          this.#login = undefined;
          if (error instanceof StoreUnavailable) throw error;
          throw new StoreUnavailable(
            `etcd does not accept the user "${user}": ${(error as Error).message}`,
            false,
            error,
          );
        },
      );
    return this.#login;
  }
}

/** What a refusal of etcd means to whoever asked; refusals with a meaning only here stay what they are. */
function meaningOf(error: GrpcError): Error {
  const { code, message } = error;
  const refused = (words: string) => new StoreUnavailable(words, false, error);
  if (code === permissionDenied) return refused(`etcd does not let us in: ${message}; check its user and certificate`);
  if (code === invalidArgument && message.includes('request is too large')) return new TooLarge(error);
  if (code !== resourceExhausted) return error;
  if (message.includes('space exceeded'))
    return refused(`etcd is out of space: ${message}; compact and defragment it, then disarm its alarm`);
  return refused(`etcd is overloaded: ${message}`);
}

/** Tokens run out, and end when somebody changes a user or a role. */
const isStaleLogin = (error: unknown): boolean =>
  error instanceof GrpcError &&
  (error.code === unauthenticated ||
    (error.code === invalidArgument && /auth store is old|user name is empty/.test(error.message)));

const revisionOf = (change: Change): number => (change.type === 'put' ? change.item.revision : change.revision);
