import { Backoff } from '../lib/backoff.ts';
import { delay } from '../lib/delay.ts';
import type { Logger } from '../lib/log.ts';
import { MesosError } from './errors.ts';
import { leaders } from './leader.ts';
import { type Protocol, type Session, openSession } from './session.ts';
import type { Credentials, Tls } from './transport.ts';

/** How to reach the masters. */
export interface MasterOptions {
  /** `zk://…`, `host:port,host:port`, a URL or `file:///…`. */
  masters: string;
  credentials: Credentials | undefined;
  tls: Tls | undefined;
  zooKeeperTls: Tls | undefined;
}

/** Knows who leads, for as long as the signal lets it. */
export class Leader {
  #url: string | undefined;
  #changed = Promise.withResolvers<void>();

  constructor({ masters, tls, zooKeeperTls }: MasterOptions, log: Logger, signal: AbortSignal) {
    const scheme = tls ? 'https' : 'http';
    void this.#watch(leaders(masters, { log, signal, ca: tls?.ca, scheme, zooKeeperTls }), log, signal);
  }

  /** The leading master; waits until one is known. */
  async url(signal: AbortSignal): Promise<string> {
    while (this.#url === undefined) {
      signal.throwIfAborted();
      await Promise.race([this.#changed.promise, abortion(signal)]);
    }
    return this.#url;
  }

  /** Resolves when another leads than `url`. */
  async leaves(url: string, signal: AbortSignal): Promise<void> {
    while (this.#url === url && !signal.aborted) await Promise.race([this.#changed.promise, abortion(signal)]);
  }

  async #watch(found: AsyncIterable<string | undefined>, log: Logger, signal: AbortSignal): Promise<void> {
    try {
      for await (const url of found) {
        this.#url = url;
        this.#changed.resolve();
        this.#changed = Promise.withResolvers();
      }
    } catch (err) {
      if (!signal.aborted) log.error({ err }, 'cannot look for the leading Mesos master');
    }
  }
}

function abortion(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

export interface Subscriber<C, E> {
  protocol: Protocol<C, E>;
  /** Made anew for each try. */
  subscribe(): C;
  up(session: Session<C, E>): void;
  event(event: E): void;
  /** The stream is over, or was not to be had. Throwing ends the subscription for good. */
  down(reason: MesosError): void;
}

/** Subscribes to whoever leads, again after each end, with backoff, until the signal aborts or `down` throws. */
export async function keepSubscribed<C extends { type: string }, E extends { type: string }>(
  leader: Leader,
  { credentials, tls }: MasterOptions,
  subscriber: Subscriber<C, E>,
  signal: AbortSignal,
): Promise<void> {
  const backoff = new Backoff({ first: 500, max: 15_000 });
  while (!signal.aborted) {
    const url = await leader.url(signal).catch(() => undefined);
    if (url === undefined) return;
    const over = new AbortController();
    const within = AbortSignal.any([signal, over.signal]);
    void leader.leaves(url, within).then(() => over.abort());
    try {
      const options = { url, credentials, tls, protocol: subscriber.protocol, subscribe: subscriber.subscribe() };
      const session = await openSession({ ...options, signal: within });
      subscriber.up(session);
      for await (const event of session.events) {
        // Who is refused for what he says of himself is told so in an event, after a 200.
        if (event.type === 'SUBSCRIBED') backoff.reset();
        subscriber.event(event);
      }
      over.abort();
      if (!signal.aborted) subscriber.down(await session.closed);
    } catch (error) {
      over.abort();
      if (signal.aborted) return;
      if (!(error instanceof MesosError)) throw error;
      subscriber.down(error);
    }
    await delay(backoff.next(), signal).catch(() => undefined);
  }
}
