import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { Agent, type Dispatcher } from 'undici';
import { type Kind, resourcePath } from '../api/kind.ts';
import type { KubeList, KubeObject, ObjectMeta, Stored } from '../api/meta.ts';
import { type Status, StatusError } from '../api/status.ts';
import type { CredentialSource } from './exec-credential.ts';
import { type WatchEvent, readWatch } from './watch.ts';

export interface ClientOptions {
  /** `https://host:port` of the apiserver. */
  server: string;
  /** PEM of the authority that signed the server's certificate. */
  ca?: string | undefined;
  /** PEM of a client certificate and its key. */
  cert?: string | undefined;
  key?: string | undefined;
  /** Bearer token. */
  token?: string | undefined;
  /** A file that holds the token; read again when it is a minute old. */
  tokenFile?: string | undefined;
  /** Accept any server certificate. */
  insecure?: boolean | undefined;
  /** The name that the server's certificate is checked for, where it is not that of `server`. */
  serverName?: string | undefined;
  /** Credentials that change; they win over those above. */
  credentials?: CredentialSource | undefined;
  userAgent?: string | undefined;
  /** How many requests may be under way at once, watches aside; 32 unless told. The others wait. */
  connections?: number | undefined;
}

/** Names one object; an object's own metadata will do. */
export interface Ref {
  namespace?: string | undefined;
  name?: string | undefined;
}

export interface ListOptions {
  namespace?: string | undefined;
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
  resourceVersion?: string | undefined;
  resourceVersionMatch?: 'Exact' | 'NotOlderThan' | undefined;
  limit?: number | undefined;
  continue?: string | undefined;
}

export interface WatchOptions extends Omit<ListOptions, 'limit' | 'continue'> {
  allowWatchBookmarks?: boolean;
  sendInitialEvents?: boolean;
  timeoutSeconds?: number;
}

export interface DeleteOptions {
  gracePeriodSeconds?: number;
  propagationPolicy?: 'Orphan' | 'Background' | 'Foreground';
  preconditions?: { uid?: string; resourceVersion?: string };
}

export interface WriteOptions {
  subresource?: string;
  dryRun?: boolean;
  fieldManager?: string;
}

/** Only what this manager wants to say of the object. */
export type Applied<T extends KubeObject> = {
  [Field in keyof T]?: T[Field] extends object | undefined ? Partial<T[Field]> : T[Field];
} & { metadata: ObjectMeta & { name: string } };

const patchTypes = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  apply: 'application/apply-patch+yaml',
  strategic: 'application/strategic-merge-patch+json',
} as const;

/**
 * The apiserver over HTTP, for any kind. A refusal is thrown as the StatusError the server sent; a broken connection as
 * whatever undici says. Nothing is retried here: callers reconcile. Control traffic, so never through a proxy.
 */
export class Client {
  readonly server: string;
  /** Requests share few connections; a watch holds one for as long as it lasts, so those are apart and not bounded. */
  #requests: Agent;
  #watches: Agent;
  /** The certificate that they show, and its key. */
  #shown: Pick<ClientOptions, 'cert' | 'key'> = {};
  /** By which they know the server. */
  #ca: string | undefined;
  readonly #options: ClientOptions;
  #token: { text: string; readAt: number } | undefined;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#ca = options.ca;
    this.server = options.server.replace(/\/$/, '');
    [this.#requests, this.#watches] = this.#agents(options);
  }

  #agents({ cert, key }: Pick<ClientOptions, 'cert' | 'key'>): [requests: Agent, watches: Agent] {
    const options = this.#options;
    // Made once: each connection would read all certificates anew. Throws where they are none.
    const secureContext = createSecureContext({ ca: this.#ca, cert, key });
    this.#shown = { cert, key };
    const common = {
      pipelining: 1,
      allowH2: false,
      bodyTimeout: 0,
      headersTimeout: 65_000,
      keepAliveTimeout: 30_000,
      connect: {
        secureContext,
        rejectUnauthorized: !options.insecure,
        timeout: 5_000,
        keepAlive: true,
        ...(options.serverName ? { servername: options.serverName } : {}),
      },
    };
    return [
      new Agent({ ...common, connections: options.connections ?? 32 }),
      new Agent({ ...common, connections: null }),
    ];
  }

  async get<T extends KubeObject>(kind: Kind<T>, ref: Ref, signal?: AbortSignal): Promise<T & Stored> {
    return this.#json('GET', pathOf(kind, ref), undefined, signal);
  }

  async list<T extends KubeObject>(
    kind: Kind<T>,
    options: ListOptions = {},
    signal?: AbortSignal,
  ): Promise<KubeList<T & Stored>> {
    const { namespace, ...query } = options;
    return this.#json('GET', withQuery(pathOf(kind, { namespace }), query), undefined, signal);
  }

  async create<T extends KubeObject>(
    kind: Kind<T>,
    object: T,
    options: WriteOptions & Ref = {},
    signal?: AbortSignal,
  ): Promise<T & Stored> {
    const { subresource, name, namespace = object.metadata.namespace, ...query } = options;
    const path = pathOf(kind, { namespace, name }, subresource);
    return this.#json('POST', withQuery(path, queryOf(query)), typed(kind, object), signal);
  }

  async update<T extends KubeObject>(
    kind: Kind<T>,
    object: T,
    options: WriteOptions = {},
    signal?: AbortSignal,
  ): Promise<T & Stored> {
    const { subresource, ...query } = options;
    const path = pathOf(kind, object.metadata, subresource);
    return this.#json('PUT', withQuery(path, queryOf(query)), typed(kind, object), signal);
  }

  /** `json` takes an array of operations, the others an object. */
  async patch<T extends KubeObject>(
    kind: Kind<T>,
    ref: Ref,
    patch: unknown,
    options: WriteOptions & { type?: keyof typeof patchTypes } = {},
    signal?: AbortSignal,
  ): Promise<T & Stored> {
    const { type = 'merge', subresource, ...query } = options;
    const path = withQuery(pathOf(kind, ref, subresource), queryOf(query));
    return this.#json('PATCH', path, patch, signal, patchTypes[type]);
  }

  /**
   * Server-side apply: the fields of `object` become this manager's, the object is made if there is none. A field that another
   * manager has is a conflict (409) unless `force` takes it. https://kubernetes.io/docs/reference/using-api/server-side-apply/
   */
  async apply<T extends KubeObject>(
    kind: Kind<T>,
    object: Applied<T>,
    options: Omit<WriteOptions, 'fieldManager'> & { fieldManager: string; force?: boolean },
    signal?: AbortSignal,
  ): Promise<T & Stored> {
    const { subresource, force, ...query } = options;
    const path = withQuery(pathOf(kind, object.metadata, subresource), { ...queryOf(query), force });
    const body = { apiVersion: kind.apiVersion, kind: kind.kind, ...object };
    return this.#json('PATCH', path, body, signal, patchTypes.apply);
  }

  /** All objects, in pages of `limit` (500 unless told) that together show one moment. */
  async *pages<T extends KubeObject>(
    kind: Kind<T>,
    options: Omit<ListOptions, 'continue'> = {},
    signal?: AbortSignal,
  ): AsyncGenerator<KubeList<T & Stored>, void, undefined> {
    let token: string | undefined;
    do {
      const page = await this.list(kind, { limit: 500, ...options, continue: token }, signal);
      yield page;
      token = page.metadata.continue || undefined;
    } while (token);
  }

  async delete<T extends KubeObject>(
    kind: Kind<T>,
    ref: Ref,
    options: DeleteOptions = {},
    signal?: AbortSignal,
  ): Promise<void> {
    await this.#json('DELETE', pathOf(kind, ref), options, signal);
  }

  /** Changes from `resourceVersion` on; ends with the server's timeout, throws StatusError on an ERROR event. */
  async *watch<T extends KubeObject>(
    kind: Kind<T>,
    options: WatchOptions,
    signal?: AbortSignal,
  ): AsyncGenerator<WatchEvent<T & Stored>, void, undefined> {
    const { namespace, ...query } = options;
    const response = await this.request('GET', withQuery(pathOf(kind, { namespace }), { ...query, watch: true }), {
      signal,
      stream: true,
    });
    if (response.statusCode !== 200) throw await failure(response);
    yield* readWatch<T & Stored>(response.body);
  }

  /** Any path, JSON in and out: what has no kind. */
  async raw<T>(method: Dispatcher.HttpMethod, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
    return this.#json(method, path, body, signal);
  }

  /** The bare answer, whatever its code; the caller reads or dumps the body. */
  async request(
    method: Dispatcher.HttpMethod,
    path: string,
    options: {
      body?: string;
      contentType?: string;
      signal?: AbortSignal | undefined;
      accept?: string;
      /** The answer may last: it gets a connection of its own. */
      stream?: boolean;
    } = {},
  ): Promise<Dispatcher.ResponseData> {
    const headers: Record<string, string> = {
      accept: options.accept ?? 'application/json',
      'user-agent': this.#options.userAgent ?? 'km',
    };
    const { credentials } = this.#options;
    const current = await credentials?.get(options.signal);
    if (current && current.cert !== this.#shown.cert) this.#connectAnew(current);
    const token = current ? current.token : this.#bearer();
    if (token) headers.authorization = `Bearer ${token}`;
    if (options.body !== undefined) headers['content-type'] = options.contentType ?? 'application/json';
    const response = await (options.stream ? this.#watches : this.#requests).request({
      origin: this.server,
      path,
      method,
      headers,
      body: options.body ?? null,
      // A DELETE with a body would end its connection otherwise.
      reset: false,
      signal: options.signal ?? null,
    });
    if (response.statusCode === 401 && current) credentials?.refused(current);
    return response;
  }

  /** From now on the server is known by this CA (PEM). Throws where it is none. */
  trust(ca: string): void {
    this.#ca = ca;
    this.#connectAnew(this.#shown);
  }

  /** Connections show, and believe, what they were opened with; those that are open may go on until they end. */
  #connectAnew(shown: Pick<ClientOptions, 'cert' | 'key'>): void {
    const before = [this.#requests, this.#watches];
    [this.#requests, this.#watches] = this.#agents(shown);
    for (const agent of before) void agent.close();
  }

  async close(): Promise<void> {
    await Promise.all([this.#requests.destroy(), this.#watches.destroy()]);
  }

  async #json<T>(
    method: Dispatcher.HttpMethod,
    path: string,
    body: unknown,
    signal?: AbortSignal,
    contentType = 'application/json',
  ): Promise<T> {
    const response = await this.request(method, path, {
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      contentType,
      signal,
    });
    if (response.statusCode >= 400) throw await failure(response);
    return (await response.body.json()) as T;
  }

  #bearer(): string | undefined {
    const { token, tokenFile } = this.#options;
    if (!tokenFile) return token;
    const now = Date.now();
    if (!this.#token || now - this.#token.readAt > 60_000)
      this.#token = { text: readFileSync(tokenFile, 'utf8').trim(), readAt: now };
    return this.#token.text;
  }
}

function pathOf<T extends KubeObject>(kind: Kind<T>, ref: Ref, subresource?: string): string {
  return resourcePath(kind, ref.namespace, ref.name, subresource);
}

const typed = <T extends KubeObject>(kind: Kind<T>, object: T): T =>
  object.kind ? object : { apiVersion: kind.apiVersion, kind: kind.kind, ...object };

const queryOf = ({ dryRun, fieldManager }: Omit<WriteOptions, 'subresource'>) => ({
  dryRun: dryRun ? 'All' : undefined,
  fieldManager,
});

function withQuery(path: string, query: object): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query) as [string, unknown][])
    if (value !== undefined) search.set(name, String(value));
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

/** The Status a refusal carries; a plain answer (a proxy's, say) becomes one. */
async function failure(response: Dispatcher.ResponseData): Promise<StatusError> {
  const text = await response.body.text();
  try {
    const status = JSON.parse(text) as Status;
    if (status.kind === 'Status') return StatusError.from(status);
  } catch {
    // Not JSON: told below in the server's own words.
  }
  const reason =
    response.statusCode === 503 ? 'ServiceUnavailable' : response.statusCode === 404 ? 'NotFound' : undefined;
  return new StatusError(
    response.statusCode,
    reason,
    `the server answered ${response.statusCode}: ${text.slice(0, 200)}`,
  );
}
