import type { Kind } from '../../api/kind.ts';
import { Namespace } from '../../api/kinds/namespace.ts';
import { ValidatingAdmissionPolicyBinding } from '../../api/kinds/validating-admission-policy-binding.ts';
import { ValidatingAdmissionPolicy } from '../../api/kinds/validating-admission-policy.ts';
import type { KubeObject } from '../../api/meta.ts';
import { matchesLabelSelector } from '../../api/selector.ts';
import { forbidden, type Reason, type StatusError } from '../../api/status.ts';
import { celError, celText } from '../../api/structural/cel.ts';
import { toCel } from '../../api/structural/cel-values.ts';
import type { MatchResources } from '../../api/webhook.ts';
import type { AdmissionRequest, AdmissionRule } from '../admission/order.ts';
import { celOf, celVariables, conditionsHold } from './conditions.ts';
import { matchedKind, type Match, type World } from './matching.ts';
import { reviewRequest, shownIn } from './review.ts';

/** ValidatingAdmissionPolicy: CEL instead of a webhook. https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/ */
export function validatingPolicies(world: World): AdmissionRule {
  return {
    name: 'ValidatingAdmissionPolicy',
    validate: (request) => {
      const bindings = world.feed.cache(ValidatingAdmissionPolicyBinding);
      if (bindings.size === 0 || request.kind.group === ValidatingAdmissionPolicy.group) return undefined;
      return judge(
        bindings.list().map(({ object }) => object as ValidatingAdmissionPolicyBinding),
        request,
        world,
      );
    },
  };
}

async function judge(
  bindings: ValidatingAdmissionPolicyBinding[],
  request: AdmissionRequest,
  world: World,
): Promise<void> {
  for (const binding of bindings) {
    const name = binding.spec.policyName ?? '';
    const policy = world.feed.cache(ValidatingAdmissionPolicy).get(name)?.object as
      ValidatingAdmissionPolicy | undefined;
    if (!policy) continue;
    const kind = matchedKind(asMatch(policy.spec.matchConstraints), request, world);
    if (!kind || !matchedKind(asMatch(binding.spec.matchResources), request, world)) continue;
    await new Judgement(policy, binding, request, kind, world).run();
  }
}

function asMatch(resources: MatchResources | undefined): Match {
  const { resourceRules, ...rest } = resources ?? {};
  return { ...rest, rules: resourceRules };
}

interface Fault {
  message: string;
  reason: Reason;
}

/** One policy through one binding on one request. */
class Judgement {
  readonly #policy: ValidatingAdmissionPolicy;
  readonly #binding: ValidatingAdmissionPolicyBinding;
  readonly #request: AdmissionRequest;
  readonly #kind: Kind;
  readonly #world: World;

  constructor(
    policy: ValidatingAdmissionPolicy,
    binding: ValidatingAdmissionPolicyBinding,
    request: AdmissionRequest,
    kind: Kind,
    world: World,
  ) {
    this.#policy = policy;
    this.#binding = binding;
    this.#request = request;
    this.#kind = kind;
    this.#world = world;
  }

  async run(): Promise<void> {
    const { object, old } = await shownIn(this.#kind, this.#request);
    const variables = celVariables(reviewRequest(this.#request, this.#kind, object, old));
    const namespace = this.#world.feed.cache(Namespace).get(this.#request.object.metadata.namespace ?? '');
    variables['namespaceObject'] = toCel(namespace?.object ?? null);
    try {
      if (!conditionsHold(this.#policy.spec.matchConditions, variables)) return;
    } catch (error) {
      return this.#tell([this.#broken((error as Error).message)].filter((fault) => fault !== undefined));
    }
    const params = this.#params();
    if (params === undefined) return;
    for (const param of params) this.#tell(this.#faults({ ...variables, params: toCel(param) }));
  }

  #faults(given: Record<string, unknown>): Fault[] {
    const { variables = [], validations = [] } = this.#policy.spec;
    const all: Record<string, unknown> = { ...given, variables: lazily(variables, given) };
    const faults: Fault[] = [];
    for (const { expression, message, messageExpression, reason } of validations) {
      try {
        if (celOf(expression)(all) === true) continue;
      } catch (error) {
        const fault = this.#broken(`expression '${expression}' resulted in error: ${celError(error)}`);
        if (fault) faults.push(fault);
        continue;
      }
      faults.push({
        message:
          celText(messageExpression ? (given) => celOf(messageExpression)(given) : undefined, all) ??
          message ??
          `failed expression: ${expression.trim()}`,
        reason: (reason ?? 'Invalid') as Reason,
      });
    }
    return faults;
  }

  /** A fault of the policy itself: an objection unless it is to be ignored. */
  #broken(message: string): Fault | undefined {
    return this.#policy.spec.failurePolicy === 'Ignore' ? undefined : { message, reason: 'Invalid' };
  }

  /** The objects that the binding hands to the policy: one null when it takes none, undefined when none is there and that is fine. */
  #params(): (KubeObject | null)[] | undefined {
    const { paramKind } = this.#policy.spec;
    const { paramRef } = this.#binding.spec;
    if (!paramKind || !paramRef) return [null];
    const kind = this.#kindOf(paramKind.apiVersion ?? '', paramKind.kind ?? '');
    const found = kind ? this.#find(kind, paramRef) : [];
    if (found.length > 0) return found;
    if (paramRef.parameterNotFoundAction === 'Allow') return undefined;
    const fault = this.#broken(
      kind
        ? 'no params found for policy binding with `Deny` parameterNotFoundAction'
        : `failed to configure policy: failed to find resource referenced by paramKind: '${paramKind.apiVersion}, Kind=${paramKind.kind}'`,
    );
    if (fault) this.#tell([fault]);
    return undefined;
  }

  #kindOf(apiVersion: string, name: string): Kind | undefined {
    return this.#world.kinds.kinds.find(
      (kind) => kind.apiVersion === apiVersion && kind.kind === name && !kind.storage,
    );
  }

  #find(
    kind: Kind,
    { name, namespace, selector }: NonNullable<ValidatingAdmissionPolicyBinding['spec']['paramRef']>,
  ): KubeObject[] {
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

  #tell(faults: readonly Fault[]): void {
    const actions = this.#binding.spec.validationActions ?? [];
    for (const { message } of faults) {
      const words = `ValidatingAdmissionPolicy '${this.#policy.metadata.name}' with binding '${this.#binding.metadata.name}' denied request: ${message}`;
      if (actions.includes('Warn'))
        this.#request.options.warn?.(`Validation failed for ${words.replace(' denied request', '')}`);
    }
    const first = faults[0];
    if (first && actions.includes('Deny')) throw this.#denial(first);
  }

  #denial({ message, reason }: Fault): StatusError {
    const words = `ValidatingAdmissionPolicy '${this.#policy.metadata.name}' with binding '${this.#binding.metadata.name}' denied request: ${message}`;
    const error = forbidden(this.#kind, this.#request.object.metadata.name ?? '', words);
    error.status.reason = reason;
    error.status.code = codes[reason] ?? 422;
    error.status.details = { ...error.status.details, causes: [{ message: words }] };
    return error;
  }
}

const codes: Partial<Record<Reason, number>> = {
  Unauthorized: 401,
  Forbidden: 403,
  Invalid: 422,
  RequestEntityTooLarge: 413,
};

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
