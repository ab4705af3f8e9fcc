import { LRUCache } from 'lru-cache';
import { Agent, EnvHttpProxyAgent, request, type Dispatcher } from 'undici';
import { readKubeconfig } from '../../client/kubeconfig.ts';
import type { Logger } from '../../lib/log.ts';
import type { Known, TokenUsers } from './authenticate.ts';
import type { Attributes, Authorizer, Verdict } from './authorize.ts';
import { authenticated, userInfo, type User } from './user.ts';

const patience = 10_000;

/** A server that answers questions of the API's own kinds, named by a kubeconfig file. */
class Webhook {
  readonly #url: string;
  readonly #dispatcher: Dispatcher;
  readonly #headers: Record<string, string>;

  constructor(kubeconfig: string) {
    const { server, ca, cert, key, token, insecure } = readKubeconfig(kubeconfig);
    const tls = {
      ...(ca ? { ca } : {}),
      ...(cert && key ? { cert, key } : {}),
      ...(insecure ? { rejectUnauthorized: false } : {}),
    };
    this.#url = server;
    // Webhooks may live outside of the cluster, behind the proxy of the environment.
    this.#dispatcher =
      process.env['HTTPS_PROXY'] || process.env['https_proxy']
        ? new EnvHttpProxyAgent({ requestTls: tls })
        : new Agent({ connect: tls });
    this.#headers = { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) };
  }

  async ask<T>(apiVersion: string, kind: string, spec: object): Promise<T> {
    const { statusCode, body } = await request(this.#url, {
      method: 'POST',
      headers: this.#headers,
      body: JSON.stringify({ apiVersion, kind, metadata: { creationTimestamp: null }, spec }),
      dispatcher: this.#dispatcher,
      signal: AbortSignal.timeout(patience),
    });
    const text = await body.text();
    if (statusCode < 200 || statusCode > 299) throw new Error(`the webhook ${this.#url} answered ${statusCode}`);
    return (JSON.parse(text) as { status?: T }).status ?? ({} as T);
  }
}

interface TokenStatus {
  authenticated?: boolean;
  user?: { username?: string; uid?: string; groups?: string[]; extra?: Record<string, string[]> };
  audiences?: string[];
}

/** Tokens that a webhook knows; what it said is believed for `ttl` milliseconds. */
export class WebhookTokens implements TokenUsers {
  readonly #webhook: Webhook;
  readonly #version: string;
  readonly #audiences: readonly string[];
  readonly #cache: LRUCache<string, { known: Known | undefined }>;

  constructor(kubeconfig: string, version: string, audiences: readonly string[], ttl: number) {
    this.#webhook = new Webhook(kubeconfig);
    this.#version = `authentication.k8s.io/${version}`;
    this.#audiences = audiences;
    this.#cache = new LRUCache({ max: 4096, ttl: Math.max(1, ttl) });
  }

  async identify(token: string): Promise<Known | undefined> {
    const cached = this.#cache.get(token);
    if (cached) return cached.known;
    const spec = { token, audiences: this.#audiences };
    const status = await this.#webhook.ask<TokenStatus>(this.#version, 'TokenReview', spec);
    const known = status.authenticated && status.user?.username ? knownOf(status) : undefined;
    this.#cache.set(token, { known });
    return known;
  }
}

function knownOf({ user = {}, audiences }: TokenStatus): Known {
  const { username = '', uid, groups = [], extra } = user;
  const made: User = { name: username, groups, ...(uid ? { uid } : {}), ...(extra ? { extra } : {}) };
  return { user: authenticated(made), ...(audiences?.length ? { audiences } : {}) };
}

interface AccessStatus {
  allowed?: boolean;
  denied?: boolean;
  reason?: string;
}

/** What a webhook says of access; yes and no are believed for times of their own, milliseconds. */
export class WebhookAuthorizer implements Authorizer {
  readonly #webhook: Webhook;
  readonly #version: string;
  readonly #ttl: { yes: number; no: number };
  readonly #log: Logger;
  readonly #cache = new LRUCache<string, Verdict>({ max: 8192, ttl: 1, ttlAutopurge: false });

  constructor(kubeconfig: string, version: string, ttl: { yes: number; no: number }, log: Logger) {
    this.#webhook = new Webhook(kubeconfig);
    this.#version = `authorization.k8s.io/${version}`;
    this.#ttl = ttl;
    this.#log = log;
  }

  rules(): { rules: never[]; unknown: string } {
    return { rules: [], unknown: 'webhook authorizer does not support user rule resolution' };
  }

  async judge(user: User, a: Attributes): Promise<Verdict> {
    const spec = specOf(user, a);
    const key = JSON.stringify(spec);
    const cached = this.#cache.get(key);
    if (cached) return cached;
    try {
      const status = await this.#webhook.ask<AccessStatus>(this.#version, 'SubjectAccessReview', spec);
      const { allowed = false, denied = false, reason } = status;
      const verdict = { allowed, denied, ...(reason ? { reason } : {}) };
      this.#cache.set(key, verdict, { ttl: Math.max(1, allowed ? this.#ttl.yes : this.#ttl.no) });
      return verdict;
    } catch (err) {
      this.#log.warn({ err }, 'the authorization webhook does not answer');
      return { allowed: false, error: (err as Error).message };
    }
  }
}

function specOf(user: User, a: Attributes): object {
  const { username, ...rest } = userInfo(user);
  const who = { user: username, ...rest };
  if (a.path !== '') return { ...who, nonResourceAttributes: { path: a.path, verb: a.verb } };
  const { namespace, verb, group, version, resource, subresource, name, fieldSelector, labelSelector } = a;
  const told = Object.entries({ namespace, verb, group, version, resource, subresource, name });
  const resourceAttributes = {
    ...Object.fromEntries(told.filter(([, value]) => value !== '')),
    ...(fieldSelector ? { fieldSelector: { rawSelector: fieldSelector } } : {}),
    ...(labelSelector ? { labelSelector: { rawSelector: labelSelector } } : {}),
  };
  return { ...who, resourceAttributes };
}
