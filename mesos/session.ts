/**
 * One subscription: a stream of events and the calls that belong to it. It never reconnects and decides nothing;
 * when the stream is over, `closed` says why and a new session has to be opened.
 *
 *   SUBSCRIBE ──▶ 200, Mesos-Stream-Id ── events ──▶ for await (const event of session.events)
 *   call(a) call(b) ──▶ one connection of their own, in order, without waiting for answers ──▶ 202 202
 */
import { Channel } from '../lib/channel.ts';
import {
  executorCall,
  executorEvent,
  masterCall,
  masterEvent,
  schedulerCall,
  schedulerEvent,
  type ContentType,
  type MessageType,
} from './codec.ts';
import { MesosError } from './errors.ts';
import { Pipeline } from './pipeline.ts';
import { RecordDecoder } from './recordio.ts';
import {
  authorization,
  connectionError,
  expectStatus,
  postToLeader,
  type Credentials,
  type Post,
  type Target,
} from './transport.ts';
import type * as executor from './executor.ts';
import type * as master from './master.ts';
import type * as scheduler from './scheduler.ts';

/** Which of Mesos' streaming APIs is spoken. */
export interface Protocol<C, E> {
  path: string;
  call: MessageType<C>;
  event: MessageType<E>;
  /** The heartbeat interval that this event announces, in seconds. */
  interval(event: E): number | undefined;
}

export const schedulerApi: Protocol<scheduler.Call, scheduler.Event> = {
  path: '/api/v1/scheduler',
  call: schedulerCall,
  event: schedulerEvent,
  interval: (event) => (event.type === 'SUBSCRIBED' ? event.subscribed.heartbeat_interval_seconds : undefined),
};
/** Agents send heartbeats every 30 minutes and do not say so: no watch unless `heartbeatInterval` asks for one. */
export const executorApi: Protocol<executor.Call, executor.Event> = {
  path: '/api/v1/executor',
  call: executorCall,
  event: executorEvent,
  interval: () => undefined,
};
export const operatorApi: Protocol<master.Call, master.Event> = {
  path: '/api/v1',
  call: masterCall,
  event: masterEvent,
  interval: (event) => (event.type === 'SUBSCRIBED' ? event.subscribed.heartbeat_interval_seconds : undefined),
};

export interface SessionOptions<C, E> extends Target {
  protocol: Protocol<C, E>;
  /** The SUBSCRIBE call. */
  subscribe: C;
  /** Protobuf unless told. */
  contentType?: ContentType | undefined;
  /** Milliseconds; used until the server announces its own. Absent = no watch until then. */
  heartbeatInterval?: number | undefined;
  /** After so many intervals of silence the session ends; 5 unless told. */
  missedHeartbeats?: number | undefined;
  /** Records longer than this end the session. */
  maxRecordBytes?: number | undefined;
  /** Events that may wait for a slow reader before the server is made to wait; 1024 unless told. */
  maxWaiting?: number | undefined;
  /** Ends the session. */
  signal?: AbortSignal | undefined;
}

export interface Session<C, E> {
  /** The server that took the subscription, after redirects: `http://host:port`. */
  readonly url: string;
  readonly streamId: string | undefined;
  /** For one reader. Ends, or throws what `closed` says unless the caller ended it. An event type that is not known has type 'UNKNOWN'. */
  readonly events: AsyncIterable<E>;
  /**
   * Calls arrive in the order in which they were made. Resolves when the server took the call (202). Throws MesosError;
   * the session goes on. After `connection` the server may have taken the call or not: it is not sent again.
   */
  call(call: C): Promise<void>;
  /** Why it ended; code 'closed' when we ended it. Never rejects. */
  readonly closed: Promise<MesosError>;
  close(): void;
}

/** Resolves when the server answered 200; throws MesosError otherwise. */
export async function openSession<C extends { type: string }, E extends { type: string }>(
  options: SessionOptions<C, E>,
): Promise<Session<C, E>> {
  const { protocol, contentType = 'application/x-protobuf' } = options;
  const ended = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, ended.signal]) : ended.signal;
  const headers = { 'content-type': contentType, ...authorization(options.credentials) };
  const { client, url, path, answer } = await postToLeader(options, {
    path: protocol.path,
    headers: { ...headers, accept: contentType },
    body: protocol.call.encode(options.subscribe, contentType),
    bodyTimeout: 0,
    signal,
  });
  try {
    await expectStatus(answer, 'SUBSCRIBE', [200], options.credentials);
  } catch (error) {
    await client.destroy();
    throw connectionError(error, options.signal);
  }
  const id = answer.headers['mesos-stream-id'];
  const streamId = typeof id === 'string' ? id : undefined;
  const calls = new Pipeline({ ...options, url });
  const callHeaders = { ...headers, ...(streamId === undefined ? {} : { 'mesos-stream-id': streamId }) };

  const stream = new EventStream(options, contentType);
  const closed = stream
    .pump(answer.body, ended, signal)
    .finally(() => Promise.all([client.destroy(), calls.destroy()]));
  return {
    url,
    streamId,
    events: stream.events(),
    closed,
    close: () => ended.abort(),
    call: async (call) => {
      // A master ends at once when a framework makes one.
      if (call.type === 'UNKNOWN') throw new MesosError('refused', 'a call of type UNKNOWN is not sent');
      const body = protocol.call.encode(call, contentType);
      await sendCall(calls, { path, headers: callHeaders, body }, signal, options.credentials);
    },
  };
}

/** The end of the session ends the pipeline, so no call needs a watch on `signal` of its own. */
async function sendCall(
  calls: Pipeline,
  request: Post,
  signal: AbortSignal,
  credentials: Credentials | undefined,
): Promise<void> {
  try {
    signal.throwIfAborted();
    const answer = await calls.post(request);
    await expectStatus(answer, 'the call', [200, 202], credentials);
    await answer.body.text();
  } catch (error) {
    throw connectionError(signal.aborted ? signal.reason : error, signal);
  }
}

/** Reads the body of a stream into a bounded queue of events and watches its heartbeats. */
class EventStream<C, E extends { type: string }> {
  readonly #options: SessionOptions<C, E>;
  readonly #contentType: ContentType;
  readonly #decoder: RecordDecoder;
  readonly #channel = new Channel<E>();
  readonly #maxWaiting: number;
  #resume: (() => void) | undefined;
  #patience: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SessionOptions<C, E>, contentType: ContentType) {
    this.#options = options;
    this.#contentType = contentType;
    this.#decoder = new RecordDecoder(options.maxRecordBytes);
    this.#maxWaiting = options.maxWaiting ?? 1024;
    this.#expect(options.heartbeatInterval);
  }

  async *events(): AsyncGenerator<E, void, undefined> {
    for await (const event of this.#channel) {
      if (this.#channel.size < this.#maxWaiting) this.#resume?.();
      yield event;
    }
  }

  /** Resolves with the reason when the stream is over. */
  async pump(body: AsyncIterable<Buffer>, ended: AbortController, signal: AbortSignal): Promise<MesosError> {
    const reason = await this.#read(body, ended, signal).catch((error: unknown) => this.#reasonOf(error, signal));
    this.#disarm();
    this.#channel.end(reason.code === 'closed' ? undefined : reason);
    ended.abort(reason);
    return reason;
  }

  async #read(body: AsyncIterable<Buffer>, ended: AbortController, signal: AbortSignal): Promise<MesosError> {
    this.#arm(ended);
    for await (const chunk of body) {
      this.#disarm();
      for (const record of this.#decoder.push(chunk)) await this.#take(record, signal);
      this.#arm(ended);
    }
    this.#decoder.end();
    return new MesosError('connection', 'the server ended the stream');
  }

  async #take(record: Buffer, signal: AbortSignal): Promise<void> {
    const { protocol } = this.#options;
    let event: E;
    try {
      event = protocol.event.decode(record, this.#contentType);
    } catch (error) {
      throw new MesosError(
        'malformed',
        `a record of the stream is no ${protocol.event.name}: ${(error as Error).message}`,
        {
          cause: error,
        },
      );
    }
    const seconds = protocol.interval(event);
    if (seconds !== undefined) this.#expect(seconds * 1000);
    this.#channel.push('type' in event ? event : { ...(event as E), type: 'UNKNOWN' });
    while (this.#channel.size >= this.#maxWaiting && !signal.aborted) await this.#room(signal);
    signal.throwIfAborted();
  }

  #room(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.#resume = () => {
        signal.removeEventListener('abort', this.#resume!);
        resolve();
      };
      signal.addEventListener('abort', this.#resume, { once: true });
    });
  }

  #expect(interval: number | undefined): void {
    if (interval !== undefined) this.#patience = interval * (this.#options.missedHeartbeats ?? 5);
  }

  /** Silence counts only while we wait for the server, not while a slow reader makes it wait. */
  #arm(ended: AbortController): void {
    const patience = this.#patience;
    if (patience === undefined) return;
    this.#timer = setTimeout(() => {
      ended.abort(new MesosError('silent', `no heartbeat for ${patience} ms`));
    }, patience);
  }

  #disarm(): void {
    clearTimeout(this.#timer);
  }

  #reasonOf(error: unknown, signal: AbortSignal): MesosError {
    if (!signal.aborted && (error as Error).name === 'RecordError')
      return new MesosError('malformed', `the stream cannot be read further: ${(error as Error).message}`, {
        cause: error,
      });
    return connectionError(error, signal);
  }
}
