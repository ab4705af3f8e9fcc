import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { StatusError } from '../api/status.ts';
import type { Client } from './client.ts';

/** Who asks at a server's own port. */
export interface Caller {
  name: string;
  uid?: string;
  groups: string[];
  extra?: Record<string, string[]>;
}

/** Who may ask a server that is not the apiserver, decided by the apiserver. `Q` is what can be asked there. */
export interface Access<Q> {
  /** Whose bearer token it is; undefined when it is nobody's. */
  reviewToken(token: string): Promise<Caller | undefined>;
  may(caller: Caller, question: Q): Promise<boolean>;
}

/** What a SubjectAccessReview asks about: a resource or a path. */
export interface Attributes {
  resourceAttributes?: Record<string, string>;
  nonResourceAttributes?: { path: string; verb: string };
}

/** How long answers are remembered, ms; and how many of them. */
const tokenTime = 2 * 60_000;
const yesTime = 5 * 60_000;
const noTime = 30_000;
const most = 1000;
const patience = 10_000;

interface TokenReview {
  status?: {
    authenticated?: boolean;
    user?: { username?: string; uid?: string; groups?: string[]; extra?: Record<string, string[]> };
  };
}
interface SubjectAccessReview {
  status?: { allowed?: boolean };
}

/** Asks by TokenReview and SubjectAccessReview, as servers of Kubernetes with webhook authentication and authorization do. */
export function delegatedAccess<Q>(
  client: Client,
  attributesOf: (question: Q) => Attributes,
  signal: AbortSignal,
): Access<Q> {
  const callers = new Answers<Caller | undefined>();
  const verdicts = new Answers<boolean>();
  const ask = async <T>(group: string, kind: string, plural: string, spec: object): Promise<T> => {
    const within = AbortSignal.any([signal, AbortSignal.timeout(patience)]);
    const body = { apiVersion: `${group}/v1`, kind, metadata: {}, spec };
    return client.raw<T>('POST', `/apis/${group}/v1/${plural}`, body, within).catch((error: unknown) => {
      throw new StatusError(503, 'ServiceUnavailable', `the apiserver could not be asked: ${(error as Error).message}`);
    });
  };
  return {
    reviewToken: (token) =>
      callers.get(
        token,
        () => tokenTime,
        async () => {
          const { status } = await ask<TokenReview>('authentication.k8s.io', 'TokenReview', 'tokenreviews', { token });
          if (!status?.authenticated || !status.user) return undefined;
          const { username = '', uid, groups = [], extra } = status.user;
          return { name: username, groups, ...(uid ? { uid } : {}), ...(extra ? { extra } : {}) };
        },
      ),
    may: (caller, question) => {
      const attributes = attributesOf(question);
      return verdicts.get(
        JSON.stringify([caller, attributes]),
        (yes) => (yes ? yesTime : noTime),
        async () => {
          const { name: user, uid, groups, extra } = caller;
          const spec = { user, groups, ...attributes, ...(uid ? { uid } : {}), ...(extra ? { extra } : {}) };
          const plural = 'subjectaccessreviews';
          const review = await ask<SubjectAccessReview>('authorization.k8s.io', 'SubjectAccessReview', plural, spec);
          return review.status?.allowed === true;
        },
      );
    },
  };
}

/**
 * Who asks, by a certificate of the authority that the server believes or by a bearer token; undefined when nobody can tell.
 */
export async function callerOf(
  request: IncomingMessage,
  access: Pick<Access<never>, 'reviewToken'>,
): Promise<Caller | undefined> {
  return certificateOf(request.socket as TLSSocket) ?? (await tokenOf(request, access));
}

function certificateOf(socket: TLSSocket): Caller | undefined {
  if (!socket.authorized) return undefined;
  const { subject } = socket.getPeerCertificate();
  const name = [subject?.CN].flat()[0];
  return name === undefined ? undefined : { name, groups: [...[subject.O ?? []].flat(), 'system:authenticated'] };
}

async function tokenOf(
  { headers }: IncomingMessage,
  access: Pick<Access<never>, 'reviewToken'>,
): Promise<Caller | undefined> {
  const token = /^Bearer\s+(\S+)$/i.exec(headers.authorization ?? '')?.[1];
  return token === undefined ? undefined : access.reviewToken(token);
}

/** Answers remembered for a while; a failure is not one. */
class Answers<T> {
  readonly #known = new Map<string, { answer: T; until: number }>();

  async get(key: string, time: (answer: T) => number, ask: () => Promise<T>): Promise<T> {
    const known = this.#known.get(key);
    if (known && known.until > Date.now()) return known.answer;
    const answer = await ask();
    if (this.#known.size >= most) this.#known.clear();
    this.#known.set(key, { answer, until: Date.now() + time(answer) });
    return answer;
  }
}
