import { StatusError } from '../api/status.ts';
import type { Client } from '../client/client.ts';

/** Who asks the kubelet's port. */
export interface Caller {
  name: string;
  uid?: string;
  groups: string[];
  extra?: Record<string, string[]>;
}

/** What is asked of this node: a verb on a subresource of `nodes`. */
export interface Question {
  verb: string;
  subresource: string;
}

/** Who may use the kubelet's port, decided by the apiserver. */
export interface Access {
  /** Whose bearer token it is; undefined when it is nobody's. */
  reviewToken(token: string): Promise<Caller | undefined>;
  may(caller: Caller, question: Question): Promise<boolean>;
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

/** Asks by TokenReview and SubjectAccessReview, as a kubelet with webhook authentication and authorization does. */
export function delegatedAccess(client: Client, nodeName: string, signal: AbortSignal): Access {
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
    may: (caller, { verb, subresource }) =>
      verdicts.get(
        JSON.stringify([caller, verb, subresource]),
        (yes) => (yes ? yesTime : noTime),
        async () => {
          const resourceAttributes = { version: 'v1', resource: 'nodes', name: nodeName, verb, subresource };
          const { name: user, uid, groups, extra } = caller;
          const spec = { user, groups, resourceAttributes, ...(uid ? { uid } : {}), ...(extra ? { extra } : {}) };
          const plural = 'subjectaccessreviews';
          const review = await ask<SubjectAccessReview>('authorization.k8s.io', 'SubjectAccessReview', plural, spec);
          return review.status?.allowed === true;
        },
      ),
  };
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
