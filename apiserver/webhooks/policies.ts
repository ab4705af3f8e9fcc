import type { Kind } from '../../api/kind.ts';
import { Namespace } from '../../api/kinds/namespace.ts';
import type { KubeObject } from '../../api/meta.ts';
import { matchesLabelSelector } from '../../api/selector.ts';
import { forbidden, type Reason, type StatusError } from '../../api/status.ts';
import { toDynamicCel } from '../../api/structural/cel-values.ts';
import type { Policy, PolicyBinding } from '../../api/policy.ts';
import type { MatchResources } from '../../api/webhook.ts';
import type { AdmissionRequest } from '../admission/order.ts';
import { AuthorizerChecks } from './authorizer-checks.ts';
import { celOf, conditionsHold, sightOf, type Sight } from './conditions.ts';
import { matchedKind, type Match, type World } from './matching.ts';
import { reviewRequest, shownIn } from './review.ts';

/** What validating and mutating policies have in common: whom they concern, and what their expressions may name. */
export class BoundPolicy<P extends Policy, B extends PolicyBinding> {
  readonly policy: P;
  readonly binding: B;
  readonly #request: AdmissionRequest;
  readonly #world: World;
  /** The version of the request's kind in which the policy sees objects. */
  readonly kind: Kind;

  constructor(policy: P, binding: B, request: AdmissionRequest, kind: Kind, world: World) {
    this.policy = policy;
    this.binding = binding;
    this.#request = request;
    this.kind = kind;
    this.#world = world;
  }

  /** `'name' with binding 'name'`, as messages name it. */
  get name(): string {
    return `'${this.policy.metadata.name}' with binding '${this.binding.metadata.name}'`;
  }

  /** Whether a fault of the policy itself is to be passed over. */
  get isLenient(): boolean {
    return this.policy.spec.failurePolicy === 'Ignore';
  }

  /**
   * The object as the request has it now, with what expressions may name, once for each object that the binding hands to the
   * policy. Empty when the policy has nothing to say; throws an Error in words when the policy is broken.
   */
  async asks(): Promise<{ object: KubeObject | undefined; sight: Sight }[]> {
    const { object, old } = await shownIn(this.kind, this.#request);
    const review = reviewRequest(this.#request, this.kind, object, old);
    const { variables, checks } = sightOf(review, new AuthorizerChecks(this.#world.authorizer, this.#request));
    const namespace = this.#world.feed.cache(Namespace).get(this.#request.object.metadata.namespace ?? '');
    const asks = [];
    for (const params of this.#params()) {
      const given = {
        ...variables,
        namespaceObject: toDynamicCel(namespace?.object ?? null),
        params: toDynamicCel(params),
      };
      if (!(await conditionsHold(this.policy.spec.matchConditions, { variables: given, checks }))) continue;
      const whole = { ...given, variables: lazily(this.policy.spec.variables ?? [], given) };
      asks.push({ object, sight: { variables: whole, checks } });
    }
    return asks;
  }

  denial(type: string, message: string, reason: Reason): StatusError {
    const words = `${type} ${this.name} denied request: ${message}`;
    const error = forbidden(this.kind, this.#request.object.metadata.name ?? '', words);
    error.status.reason = reason;
    error.status.code = codes[reason] ?? 422;
    error.status.details = { ...error.status.details, causes: [{ message: words }] };
    return error;
  }

  /** The objects that the binding hands to the policy: one null when it takes none. */
  #params(): (KubeObject | null)[] {
    const { paramKind } = this.policy.spec;
    const { paramRef } = this.binding.spec;
    if (!paramKind || !paramRef) return [null];
    const kind = this.#kindOf(paramKind.apiVersion ?? '', paramKind.kind ?? '');
    const found = kind ? this.#find(kind, paramRef) : [];
    if (found.length > 0 || paramRef.parameterNotFoundAction === 'Allow') return found;
    throw new Error(
      kind
        ? 'no params found for policy binding with `Deny` parameterNotFoundAction'
        : `failed to configure policy: failed to find resource referenced by paramKind: '${paramKind.apiVersion}, Kind=${paramKind.kind}'`,
    );
  }

  #kindOf(apiVersion: string, name: string): Kind | undefined {
    return this.#world.kinds.kinds.find(
      (kind) => kind.apiVersion === apiVersion && kind.kind === name && !kind.storage,
    );
  }

  #find(kind: Kind, { name, namespace, selector }: NonNullable<PolicyBinding['spec']['paramRef']>): KubeObject[] {
    const within = kind.namespaced ? namespace || this.#request.object.metadata.namespace || '' : '';
    const cache = this.#world.feed.cache(kind);
    if (name) {
      const entry = cache.get(kind.namespaced ? `${within}/${name}` : name);
      return entry ? [entry.object as KubeObject] : [];
    }
    return cache
      .list(within || undefined)
      .map(({ object }) => object as KubeObject)
      .filter(({ metadata }) => matchesLabelSelector(selector ?? {}, metadata.labels));
  }
}

const codes: Partial<Record<Reason, number>> = {
  Unauthorized: 401,
  Forbidden: 403,
  Invalid: 422,
  RequestEntityTooLarge: 413,
};

/** The policies of a kind that concern the request through one of their bindings, by name of the policy and of the binding. */
export function concerned<P extends Policy, B extends PolicyBinding>(
  policies: Kind<P>,
  bindings: Kind<B>,
  request: AdmissionRequest,
  world: World,
): BoundPolicy<P, B>[] {
  const all = world.feed.cache(bindings);
  // Policies are beyond their own reach, or a broken one could never be mended.
  if (all.size === 0 || request.kind.group === policies.group) return [];
  const found = all.list().flatMap(({ object }) => {
    const binding = object as B;
    const policy = world.feed.cache(policies).get(binding.spec.policyName ?? '')?.object as P | undefined;
    const kind = policy && matchedKind(asMatch(policy.spec.matchConstraints), request, world);
    if (!kind || !matchedKind(asMatch(binding.spec.matchResources), request, world)) return [];
    return [new BoundPolicy(policy, binding, request, kind, world)];
  });
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function asMatch(resources: MatchResources | undefined): Match {
  const { resourceRules, ...rest } = resources ?? {};
  return { ...rest, rules: resourceRules };
}

/** `variables.x`, each made when it is first asked for, so that one that is never asked for cannot fail. */
function lazily(variables: readonly { name: string; expression: string }[], given: Record<string, unknown>): object {
  const made: Record<string, unknown> = {};
  for (const { name, expression } of variables) {
    let value: { is: unknown } | undefined;
    Object.defineProperty(made, name, {
      enumerable: true,
      get: () => (value ??= { is: celOf(expression)({ ...given, variables: made }) }).is,
    });
  }
  return made;
}
