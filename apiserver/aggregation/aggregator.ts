import { Agent, request, type Dispatcher } from 'undici';
import { APIService } from '../../api/kinds/api-service.ts';
import { EndpointSlice } from '../../api/kinds/endpoint-slice.ts';
import { Service } from '../../api/kinds/service.ts';
import { equal } from '../../lib/equal.ts';
import { delay } from '../../lib/delay.ts';
import type { Logger } from '../../lib/log.ts';
import { self, type User } from '../auth/user.ts';
import type { KindTable } from '../kinds.ts';
import type { Registry } from '../registry.ts';
import { Agents } from '../webhooks/agents.ts';
import { endpointOf } from '../webhooks/caller.ts';
import { describe, isSameDescription, type Described } from './described.ts';
import { tellAvailability, unavailableBecause } from './availability.ts';
import { StatusError } from '../../api/status.ts';
import { originOf, type Target } from '../proxy/target.ts';
import { identityHeaders } from './identity.ts';
import { localServices } from './local-services.ts';

type Stored = Readonly<APIService>;

/** The certificate by which servers behind the aggregator know it. */
export interface ProxyIdentity {
  cert?: string | Buffer | undefined;
  key?: string | Buffer | undefined;
}

/** A group version that another server serves. */
export interface Remote {
  service: Stored;
  group: string;
  version: string;
  /** Its server answered when it was last asked. */
  isAvailable: boolean;
  /** Its resources, as its own discovery lists them; undefined until it answered for the first time. */
  resources: readonly RemoteResource[] | undefined;
  described: Described | undefined;
}

export interface RemoteResource {
  name: string;
  singularName?: string;
  namespaced: boolean;
  kind: string;
  group?: string;
  version?: string;
  verbs: string[];
  shortNames?: string[];
  categories?: string[];
}

const lookAgainMs = 5000;
const restMs = 60_000;
const patienceMs = 5000;

/**
 * Group versions that other servers serve behind Services, as APIServices say.
 *
 *   APIService, Service, EndpointSlice change ─▶ asked for its discovery ─▶ condition Available ─▶ requests are passed on
 */
export class Aggregator {
  readonly #registry: Registry;
  readonly #kinds: KindTable;
  readonly #identity: ProxyIdentity;
  readonly #log: Logger;
  readonly #remotes = new Map<string, Remote>();
  readonly #agents = new Agents();
  #generation = 0;

  constructor(registry: Registry, kinds: KindTable, identity: ProxyIdentity, log: Logger) {
    this.#registry = registry;
    this.#kinds = kinds;
    this.#identity = identity;
    this.#log = log;
  }

  /** Grows whenever discovery or OpenAPI has something else to say of the remote ones. */
  get generation(): number {
    return this.#generation;
  }

  get remotes(): readonly Remote[] {
    return [...this.#remotes.values()];
  }

  /** Who else serves a path, the document that describes a group version included, if somebody does. */
  find(path: string): Remote | undefined {
    if (this.#remotes.size === 0) return undefined;
    const [, document, rest = path] = /^(\/openapi\/v3)(\/apis\/.*)/.exec(path) ?? [];
    const [root, group, version] = rest.split('/').filter(Boolean);
    const remote = root === 'apis' && group && version ? this.#remotes.get(`${group}/${version}`) : undefined;
    return document && !remote?.described?.v3 ? undefined : remote;
  }

  /** Follows until the signal aborts. */
  start(signal: AbortSignal): void {
    let wake: () => void = () => undefined;
    for (const kind of [APIService, Service, EndpointSlice]) {
      const cache = this.#registry.feed.cache(kind);
      const subscribe = () => void cache.follow({ events: () => wake(), lost: () => (subscribe(), wake()) });
      subscribe();
    }
    void this.#follow(signal, () => new Promise((resolve) => (wake = resolve)));
  }

  async #follow(signal: AbortSignal, changed: () => Promise<void>): Promise<void> {
    while (!signal.aborted) {
      const change = changed();
      try {
        await localServices(this.#registry, this.#kinds);
        await this.#look(signal);
      } catch (err) {
        if (!signal.aborted) this.#log.warn({ err }, 'API services could not be brought in order; trying again');
      }
      // Servers come and go without telling anybody here, so they are asked now and then.
      const rest = delay(this.#remotes.size > 0 ? lookAgainMs : restMs, signal);
      await Promise.race([change.then(() => delay(50, signal)), rest]).catch(() => undefined);
    }
    await this.#agents.destroy();
  }

  async #look(signal: AbortSignal): Promise<void> {
    const services = this.#registry.feed
      .cache(APIService)
      .list()
      .map(({ object }) => object as Stored)
      .filter(({ spec }) => spec.service);
    const wanted = new Set(services.map(keyOf));
    for (const key of this.#remotes.keys())
      if (!wanted.has(key)) {
        this.#remotes.delete(key);
        this.#generation += 1;
      }
    for (const service of services) await this.#lookAt(service, signal);
  }

  async #lookAt(service: Stored, signal: AbortSignal): Promise<void> {
    const { group = '', version = '' } = service.spec;
    const known = this.#remotes.get(keyOf(service));
    let resources = known?.resources;
    let described = known?.described;
    let why: ReturnType<typeof unavailableBecause> | undefined;
    try {
      resources = await this.#discover(service, signal);
      if (!known?.isAvailable || Date.now() - (described?.at ?? 0) >= restMs)
        described = await describe(group, version, (path, tag) => this.#fetch(service, path, signal, tag), described);
    } catch (error) {
      if (signal.aborted) return;
      why = unavailableBecause(error as Error, service);
    }
    const remote = { service, group, version, isAvailable: why === undefined, resources, described };
    const isAsBefore =
      known?.isAvailable === remote.isAvailable &&
      equal(known.resources, resources) &&
      isSameDescription(known.described, described);
    if (!isAsBefore || !equal(known.service.spec, service.spec)) this.#generation += 1;
    this.#remotes.set(keyOf(service), remote);
    await tellAvailability(this.#registry, service, why);
  }

  async #discover(service: Stored, signal: AbortSignal): Promise<readonly RemoteResource[]> {
    const { group, version } = service.spec;
    const answer = await this.#fetch(service, `/apis/${group}/${version}`, signal);
    const { resources } = JSON.parse(answer?.text ?? '{}') as { resources?: RemoteResource[] };
    return Array.isArray(resources) ? resources : [];
  }

  /** GET in our own name; undefined where nothing has changed since `tag`. */
  async #fetch(
    service: Stored,
    path: string,
    signal: AbortSignal,
    tag?: string,
  ): Promise<{ text: string; tag: string | undefined } | undefined> {
    const { origin, dispatcher } = this.#upstream(service);
    const { statusCode, headers, body } = await request(`${origin}${path}`, {
      dispatcher,
      headers: { accept: 'application/json', ...(tag ? { 'if-none-match': tag } : {}), ...identityHeaders(self) },
      signal: AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]),
    });
    const text = await body.text();
    if (statusCode === 304) return undefined;
    if (statusCode < 200 || statusCode > 299) throw new Error(`bad status from ${origin}${path}: ${statusCode}`);
    return { text, tag: headers['etag'] as string | undefined };
  }

  /** Where a request is passed on to, in the name of who asks. Throws 503. */
  target({ isAvailable, service }: Remote, user: User, path: string): Target {
    if (!isAvailable) throw unavailable('the server is currently unable to handle the request');
    const unreachable = ({ message }: Error) => unavailable(`error trying to reach service: ${message}`);
    try {
      return { ...this.#upstream(service), path, headers: identityHeaders(user), unreachable };
    } catch (error) {
      throw unreachable(error as Error);
    }
  }

  /** Where a remote group version can be reached now; throws an Error when it cannot be. */
  #upstream({ spec }: Stored): { origin: string; dispatcher: Dispatcher } {
    const { namespace = '', name = '', port = 443 } = spec.service ?? {};
    const at = endpointOf(this.#registry.feed, namespace, name, port);
    const servername = `${name}.${namespace}.svc`;
    const id = JSON.stringify([servername, spec.insecureSkipTLSVerify, spec.caBundle]);
    const dispatcher = this.#agents.get(id, () => this.#connect(servername, spec));
    return { origin: originOf('https', at.host, at.port), dispatcher };
  }

  #connect(servername: string, { caBundle, insecureSkipTLSVerify }: Stored['spec']): Agent {
    const { cert, key } = this.#identity;
    const connect = {
      servername,
      rejectUnauthorized: insecureSkipTLSVerify !== true,
      ...(caBundle ? { ca: Buffer.from(caBundle, 'base64').toString() } : {}),
      ...(cert && key ? { cert, key } : {}),
    };
    return new Agent({ connect, bodyTimeout: 0, headersTimeout: 65_000 });
  }
}

const unavailable = (message: string): StatusError =>
  new StatusError(503, 'ServiceUnavailable', message, { retryAfterSeconds: 1 });

const keyOf = ({ spec }: Stored): string => `${spec.group}/${spec.version}`;
