import type { TLSSocket } from 'node:tls';
import type { Kind, Subresource } from '../api/kind.ts';
import { Pod } from '../api/kinds/pod.ts';
import { methodNotAllowed, StatusError } from '../api/status.ts';
import type { Authenticator } from './auth/authenticate.ts';
import { denied, type Attributes, type Authorizer } from './auth/authorize.ts';
import { selfAccessReview, selfReview } from './auth/reviews.ts';
import { anonymous, type User } from './auth/user.ts';
import { unauthorized } from './auth/authenticate.ts';
import type { Answer, Call } from './call.ts';
import { reviews } from './discovery.ts';
import type { KindTable } from './kinds.ts';
import { json, negotiate } from './negotiate.ts';
import type { Registry } from './registry.ts';
import { parseResourcePath, type ResourcePath } from './request.ts';
import { bind } from './subresources/binding.ts';
import { evict } from './subresources/eviction.ts';
import { finalize } from './subresources/finalize.ts';
import { scale } from './subresources/scale.ts';
import { create } from './verbs/create.ts';
import { deleteCollection } from './verbs/delete-collection.ts';
import { remove } from './verbs/delete.ts';
import { get } from './verbs/get.ts';
import { list } from './verbs/list.ts';
import { patch } from './verbs/patch.ts';
import { update } from './verbs/update.ts';
import { watch, type Watch } from './verbs/watch.ts';

/** A request as it came in, whatever the protocol. */
export interface Incoming {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: Record<string, string | string[] | undefined>;
  socket: TLSSocket;
  signal: AbortSignal;
}

/** A request on a resource after it was let in. */
export interface Admitted {
  call: Call;
  verb: string;
}

/** Verbs whose answer is not one body. */
export const connectSubresources = new Set(['log', 'exec', 'attach', 'portforward', 'proxy']);

/** Lets requests in and brings each to its verb. */
export class Dispatcher {
  readonly #kinds: KindTable;
  readonly #registry: Registry;
  readonly #authenticator: Authenticator;
  readonly #authorizer: Authorizer;

  constructor(kinds: KindTable, registry: Registry, authenticator: Authenticator, authorizer: Authorizer) {
    this.#kinds = kinds;
    this.#registry = registry;
    this.#authenticator = authenticator;
    this.#authorizer = authorizer;
  }

  identify({ headers, socket }: Incoming): User {
    return this.#authenticator.identify(headers.authorization as string | undefined, socket);
  }

  /** Throws 401 or 403 unless the user may. */
  authorize(user: User, attributes: Attributes): void {
    const { allowed, reason } = this.#authorizer.judge(user, attributes);
    if (allowed) return;
    throw user === anonymous ? unauthorized() : denied(user, attributes, reason);
  }

  /** Paths that are no resources: discovery, health, metrics. */
  authorizePath(user: User, method: string, path: string): void {
    const verb = method === 'GET' || method === 'HEAD' ? 'get' : method.toLowerCase();
    this.authorize(user, {
      verb,
      path,
      resource: '',
      group: '',
      version: '',
      subresource: '',
      namespace: '',
      name: '',
      fieldSelector: '',
    });
  }

  /** The call behind a resource path, authorized; undefined when the path is not that of a resource. */
  admit(incoming: Incoming, user: User): Admitted | undefined {
    const path = parseResourcePath(incoming.path);
    if (!path) return undefined;
    const verb = verbOf(incoming, path);
    const { group, version, resource, subresource, namespace, name } = path;
    const about = resource === 'namespaces' && group === '' ? name : namespace;
    const fieldSelector = incoming.query.get('fieldSelector') ?? '';
    this.authorize(user, {
      verb,
      group,
      version,
      resource,
      subresource,
      namespace: about,
      name,
      path: '',
      fieldSelector,
    });
    const kind = this.#kindOf(path);
    const isWatch = verb === 'watch';
    return {
      verb,
      call: {
        method: incoming.method,
        kind,
        namespace,
        name,
        subresource,
        rest: path.rest,
        query: incoming.query,
        user,
        userAgent: (incoming.headers['user-agent'] as string | undefined) ?? '',
        contentType: (incoming.headers['content-type'] as string | undefined) ?? '',
        body: noBody,
        output: connectSubresources.has(subresource)
          ? json
          : negotiate(watchable(incoming.headers.accept as string | undefined, isWatch)),
        warnings: kind.deprecation ? [kind.deprecation] : [],
        signal: incoming.signal,
      },
    };
  }

  #kindOf(path: ResourcePath): Kind {
    const { group, version, resource, name, subresource, namespace } = path;
    // The old way to bind: POST to the collection `bindings`.
    if (group === '' && version === 'v1' && resource === 'bindings') {
      path.subresource = 'binding';
      return Pod as Kind<never> as Kind;
    }
    const question = reviews.find((r) => r.group === group && r.version === version && r.plural === resource);
    if (question)
      return {
        ...question,
        namespaced: false,
        singular: question.kind.toLowerCase(),
        listKind: '',
        apiVersion: `${group}/${version}`,
        short: [],
        categories: [],
        subresources: [],
      };
    const kind = this.#kinds.find(group, version, resource);
    if (!kind) throw unknownPath();
    if (subresource !== '' && !kind.subresources.includes(subresource as Subresource)) throw unknownPath();
    if (path.rest !== '' && subresource !== 'proxy') throw unknownPath();
    if (!kind.namespaced && namespace !== '') throw unknownPath();
    if (kind.namespaced && name !== '' && namespace === '') throw unknownPath();
    return kind;
  }

  /** Runs a call that answers with one body. */
  async answer({ call, verb }: Admitted): Promise<Answer> {
    if (!this.#kinds.kinds.includes(call.kind)) return this.#review(call, verb);
    if (call.subresource !== '') return this.#subresource(call, verb);
    if (call.kind.verbs?.includes(verb) === false) throw notAllowedHere();
    switch (verb) {
      case 'get':
        return get(this.#registry, call);
      case 'list':
        return list(this.#registry, call);
      case 'create':
        if (call.name !== '') throw methodNotAllowed(call.kind, 'create');
        if (call.kind.namespaced && call.namespace === '')
          throw new StatusError(
            405,
            'MethodNotAllowed',
            'the server does not allow this method on the requested resource',
            {},
          );
        return create(this.#registry, call);
      case 'update':
        if (call.name === '') throw notAllowedHere();
        return update(this.#registry, call);
      case 'patch':
        if (call.name === '') throw notAllowedHere();
        return patch(this.#registry, call);
      case 'delete':
        return remove(this.#registry, call);
      case 'deletecollection':
        return deleteCollection(this.#registry, call);
      default:
        throw notAllowedHere();
    }
  }

  watch({ call }: Admitted): Promise<Watch> {
    if (call.kind.verbs?.includes('watch') === false) throw notAllowedHere();
    return watch(this.#registry, call);
  }

  #review(call: Call, verb: string): Answer {
    if (verb !== 'create') throw notAllowedHere();
    if (call.kind.kind === 'SelfSubjectReview') return selfReview(call.user);
    return selfAccessReview(call.contentType, call.body, call.user, this.#authorizer);
  }

  #subresource(call: Call, verb: string): Promise<Answer> {
    const registry = this.#registry;
    switch (`${call.subresource} ${verb}`) {
      case 'status get':
        return get(registry, call);
      case 'status update':
        return update(registry, call, 'status');
      case 'status patch':
        return patch(registry, call, 'status');
      case 'ephemeralcontainers get':
      case 'resize get':
        return get(registry, call);
      case 'ephemeralcontainers update':
        return update(registry, call, 'ephemeralcontainers');
      case 'ephemeralcontainers patch':
        return patch(registry, call, 'ephemeralcontainers');
      case 'resize update':
        return update(registry, call, 'resize');
      case 'resize patch':
        return patch(registry, call, 'resize');
      case 'scale get':
      case 'scale update':
      case 'scale patch':
        return scale(registry, call);
      case 'binding create':
        return bind(registry, call);
      case 'eviction create':
        return evict(registry, call);
      case 'finalize update':
        return finalize(registry, call);
      default:
        throw notAllowedHere();
    }
  }
}

/** Until it is read: callers are let in first. */
const noBody = Buffer.alloc(0);

/** Watches accept `application/json;stream=watch` too. */
const watchable = (accept: string | undefined, isWatch: boolean): string | undefined =>
  isWatch ? accept?.replaceAll(';stream=watch', '') : accept;

const notAllowedHere = (): StatusError =>
  new StatusError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {});

export const unknownPath = (): StatusError =>
  new StatusError(404, 'NotFound', 'the server could not find the requested resource', {});

function verbOf({ method, query }: Incoming, { name, watch: isWatchPath }: ResourcePath): string {
  switch (method) {
    case 'GET':
    case 'HEAD':
      if (isWatchPath || (name === '' && ['true', '1'].includes(query.get('watch') ?? ''))) return 'watch';
      if (name !== '' && ['true', '1'].includes(query.get('watch') ?? '')) return 'watch';
      return name === '' ? 'list' : 'get';
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return name === '' ? 'deletecollection' : 'delete';
    default:
      return method.toLowerCase();
  }
}
