import { hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { LRUCache } from 'lru-cache';
import { StatusError } from '../../api/status.ts';
import type { Logger } from '../../lib/log.ts';
import type { CertificateUsers } from './certificates.ts';
import type { ProxiedUsers } from './proxied-users.ts';
import { anonymous, type User } from './user.ts';

/** Whom a token stands for, and for which audiences; undefined stands for the API's own. */
export interface Known {
  user: User;
  audiences?: readonly string[];
}

/** One kind of bearer token. Undefined: it is none of ours, or no longer good. */
export interface TokenUsers {
  /** `digest` is `digestOf(token)`. */
  identify: (token: string, digest: string) => Known | undefined | Promise<Known | undefined>;
}

/** What tokens are looked up by, so that nobody learns of a token by how long its look-up takes. SHA-256, hex. */
export const digestOf = (token: string): string => hash('sha256', token, 'hex');

export interface AuthenticatorParts {
  certificates: CertificateUsers;
  /** Users that a proxy in front of us vouches for. */
  proxied?: ProxiedUsers;
  /** Asked in this order; those that answer at once and know most first. */
  tokens: readonly TokenUsers[];
  /** What a token must be meant for. */
  audiences: readonly string[];
  /** Whether those are let in who show nothing. */
  allowsAnonymous: boolean;
  log: Logger;
}

const rememberedMs = 10_000;

/** Tells from a request's connection and headers who asks. */
export class Authenticator {
  readonly #parts: AuthenticatorParts;
  readonly #remembered = new LRUCache<string, Known>({ max: 8192, ttl: rememberedMs });

  constructor(parts: AuthenticatorParts) {
    this.#parts = parts;
  }

  /** Throws 401 for credentials that are not known; no credentials at all make an anonymous user. */
  identify(headers: IncomingHttpHeaders, socket: TLSSocket): User | Promise<User> {
    const { proxied, certificates, allowsAnonymous } = this.#parts;
    const certified = proxied?.identify(headers, socket) ?? certificates.identify(socket);
    if (certified) return certified;
    const { authorization } = headers;
    if (!authorization) {
      if (!allowsAnonymous || certificates.refuses(socket)) throw unauthorized();
      return anonymous;
    }
    const token = /^bearer\s+(\S+)$/i.exec(authorization.trim())?.[1];
    if (token === undefined) throw unauthorized();
    const known = this.#known(token);
    return known instanceof Promise ? known.then((late) => this.#admitted(late)) : this.#admitted(known);
  }

  /** Who a token is, for those who may ask; undefined unless it is meant for one of the audiences. */
  async review(token: string, audiences: readonly string[]): Promise<Known | undefined> {
    const known = await this.#known(token);
    if (!known) return undefined;
    const wanted = audiences.length > 0 ? audiences : this.#parts.audiences;
    const both = wanted.filter((audience) => (known.audiences ?? this.#parts.audiences).includes(audience));
    return both.length > 0 ? { user: known.user, audiences: both } : undefined;
  }

  #admitted(known: Known | undefined): User {
    if (!known) throw unauthorized();
    if (known.audiences && !known.audiences.some((audience) => this.#parts.audiences.includes(audience)))
      throw unauthorized();
    return known.user;
  }

  #known(token: string): Known | undefined | Promise<Known | undefined> {
    const digest = digestOf(token);
    const remembered = this.#remembered.get(digest);
    if (remembered) return remembered;
    const known = this.#ask(token, digest, 0);
    if (!(known instanceof Promise)) return known;
    return known.then((late) => {
      if (late) this.#remembered.set(digest, late);
      return late;
    });
  }

  #ask(token: string, digest: string, from: number): Known | undefined | Promise<Known | undefined> {
    const { tokens } = this.#parts;
    for (let i = from; i < tokens.length; i++) {
      const known = tokens[i]!.identify(token, digest);
      if (known instanceof Promise)
        return known
          .catch((err: unknown) => {
            this.#parts.log.warn({ err }, 'a token could not be checked');
            return undefined;
          })
          .then((late) => late ?? this.#ask(token, digest, i + 1));
      if (known) return known;
    }
    return undefined;
  }
}

export const unauthorized = (): StatusError => new StatusError(401, 'Unauthorized', 'Unauthorized');
