/**
 * The calls of one session: many on the way at once, over one connection, in the order in which they were given.
 *
 *   post(a) post(b) post(c) ──▶ a b c ──▶ server
 *                           ◀── 202 400   ✂ connection breaks: c is rejected, nothing is sent a second time
 */
import type { Client } from 'undici';
import { MesosError } from './errors.ts';
import { connect, post, type Answer, type Post, type Target } from './transport.ts';

/** Requests on the wire without an answer; more wait here. */
const maxUnanswered = 64;
const idleTimeout = 24 * 60 * 60 * 1000;

export class Pipeline {
  readonly #target: Target;
  #client: Client | undefined;
  #ended = false;

  constructor(target: Target) {
    this.#target = target;
  }

  /** An answer of any status. Throws MesosError `connection`: the server may have taken the call, or not. */
  post(request: Post): Promise<Answer> {
    if (this.#ended) return Promise.reject(new MesosError('closed', 'the session is over'));
    this.#client ??= this.#connect();
    return post(this.#client, request);
  }

  /** Rejects what has no answer yet. */
  async destroy(): Promise<void> {
    this.#ended = true;
    await this.#client?.destroy();
  }

  #connect(): Client {
    const client = connect(this.#target, { pipelining: maxUnanswered, keepAliveTimeout: idleTimeout });
    // Left alone, undici would send all but the first unanswered call again, over a new connection.
    client.on('disconnect', (_origin, _targets, error) => {
      if (this.#client === client) this.#client = undefined;
      void client.destroy(error);
    });
    return client;
  }
}
