import type { TLSSocket } from 'node:tls';
import type { IncomingHttpHeaders } from 'node:http';
import type { Kind, Subresource } from '../api/kind.ts';
import { Pod } from '../api/kinds/pod.ts';
import { parseFieldSelector } from '../api/selector.ts';
import { methodNotAllowed, StatusError } from '../api/status.ts';
import type { Authenticator } from './auth/authenticate.ts';
import { attributes, denied, type Attributes, type Authorizer } from './auth/authorize.ts';
import { actingUser } from './auth/impersonate.ts';
import { answerQuestion } from './auth/questions.ts';
import type { User } from './auth/user.ts';
import type { Answer, Call } from './call.ts';
import type { KindTable } from './kinds.ts';
import { json, negotiate } from './negotiate.ts';
import { messageOfKind } from './protobuf/fields.ts';
import type { Registry } from './registry.ts';
import { parseResourcePath, type ResourcePath } from './request.ts';
import { approve } from './subresources/approval.ts';
import { bind } from './subresources/binding.ts';
import { evict } from './subresources/eviction.ts';
import { finalize } from './subresources/finalize.ts';
import { scale } from './subresources/scale.ts';
import { requestToken, type TokenGiver } from './subresources/token.ts';
import { readComputed, type Compute } from './verbs/computed.ts';
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
  headers: IncomingHttpHeaders;
  /** Names and values as they came, one after the other. */
  rawHeaders: readonly string[];
  socket: TLSSocket;
  signal: AbortSignal;
}

/** What a request is about; `path` is undefined when that is no resource. */
export interface Asked {
  path: ResourcePath | undefined;
  attributes: Attributes;
}

/** A request on a resource after it was let in. */
export interface Admitted {
  call: Call;
  verb: string;
}

/** Who lets in, and who gives tokens to be let in with. */
export interface Gate {
  authenticator: Authenticator;
  authorizer: Authorizer;
  giver: TokenGiver;
}

/** Verbs whose answer is not one body. */
export const connectSubresources = new Set(['log', 'exec', 'attach', 'portforward', 'proxy']);

/** Lets requests in and brings each to its verb. */
export class Dispatcher {
  readonly #kinds: KindTable;
  readonly #registry: Registry;
  readonly #gate: Gate;
  readonly #computed: ReadonlyMap<Kind, Compute>;

  constructor(kinds: KindTable, registry: Registry, gate: Gate, computed: ReadonlyMap<Kind, Compute>) {
    this.#computed = computed;
    this.#kinds = kinds;
    this.#registry = registry;
    this.#gate = gate;
  }

  /** Who asks, or whom they ask to be taken for and may. Throws 400, 401 and 403. */
  async identify({ headers, rawHeaders, socket }: Incoming): Promise<User> {
    const { authenticator, authorizer } = this.#gate;
    const user = authenticator.identify(headers, socket);
    return actingUser(user instanceof Promise ? await user : user, headers, rawHeaders, authorizer);
  }

  /** Answers why the user may; throws 403 unless they may. */
  async authorize(user: User, asked: Attributes): Promise<string | undefined> {
    const verdict = this.#gate.authorizer.judge(user, asked);
    const { allowed, reason } = verdict instanceof Promise ? await verdict : verdict;
    if (!allowed) throw denied(user, asked, reason);
    return reason;
  }

  /** What a request is about: a resource, or a path such as discovery, health and metrics. */
  asked(incoming: Incoming): Asked {
    const { method, path: url, query } = incoming;
    const path = parseResourcePath(url);
    if (!path) {
      const verb = method === 'GET' || method === 'HEAD' ? 'get' : method.toLowerCase();
      return { path, attributes: attributes({ verb, path: url }) };
    }
    const { group, version, resource, subresource, namespace, name } = path;
    const verb = verbOf(incoming, path);
    const fieldSelector = query.get('fieldSelector') ?? '';
    return {
      path,
      attributes: {
        verb,
        group,
        version,
        resource,
        subresource,
        namespace: resource === 'namespaces' && group === '' ? name : namespace,
        name: name === '' && collective.has(verb) ? nameSelected(fieldSelector) : name,
        path: '',
        fieldSelector,
        labelSelector: query.get('labelSelector') ?? '',
      },
    };
  }

  /** The call behind an authorized request; undefined when its path is not that of a resource. Throws 404. */
  admit(incoming: Incoming, user: User, { path, attributes: { verb } }: Asked): Admitted | undefined {
    if (!path) return undefined;
    const { namespace, name, subresource } = path;
    const kind = this.#kindOf(path);
    const isWatch = verb === 'watch';
    return {
      verb,
      call: {
        method: incoming.method,
        kind,
        namespace,
        name,
        subresource: path.subresource,
        rest: path.rest,
        query: incoming.query,
        user,
        userAgent: (incoming.headers['user-agent'] as string | undefined) ?? '',
        contentType: (incoming.headers['content-type'] as string | undefined) ?? '',
        body: noBody,
        output: connectSubresources.has(subresource)
          ? json
          : negotiate(watchable(incoming.headers.accept as string | undefined, isWatch), {
              protobuf: messageOfKind(kind) !== undefined,
              watch: isWatch,
            }),
        warnings: kind.deprecation ? [kind.deprecation] : [],
        annotate: () => undefined,
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
    if (call.kind.question) {
      if (verb !== 'create') throw notAllowedHere();
      return answerQuestion(call, this.#gate);
    }
    if (call.subresource !== '') return this.#subresource(call, verb);
    if (call.kind.verbs?.includes(verb) === false) throw notAllowedHere();
    const compute = this.#computed.get(call.kind);
    if (compute) return readComputed(compute, call);
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
      case 'approval get':
        return get(registry, call);
      case 'approval update':
      case 'approval patch':
        return approve(registry, call);
      case 'token create':
        return requestToken(this.#gate.giver, call);
      default:
        throw notAllowedHere();
    }
  }
}

const collective = new Set(['list', 'watch']);

/** Who selects one object by its name is judged by that name. */
function nameSelected(fieldSelector: string): string {
  if (!fieldSelector.includes('metadata.name')) return '';
  try {
    const term = parseFieldSelector(fieldSelector).find(({ field, equal }) => field === 'metadata.name' && equal);
    return term && !/[/%]/.test(term.value) ? term.value : '';
  } catch {
    return ''; // refused later, in the words for a wrong selector
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

function verbOf({ method, query }: Incoming, { name, subresource, watch: isWatchPath }: ResourcePath): string {
  switch (method) {
    case 'GET':
    case 'HEAD':
      if (isWatchPath || (name === '' && ['true', '1'].includes(query.get('watch') ?? ''))) return 'watch';
      if (name !== '' && subresource !== 'proxy' && ['true', '1'].includes(query.get('watch') ?? '')) return 'watch';
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
