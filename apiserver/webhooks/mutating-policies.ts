import { MutatingAdmissionPolicyBinding } from '../../api/kinds/mutating-admission-policy-binding.ts';
import { MutatingAdmissionPolicy, type Mutation } from '../../api/kinds/mutating-admission-policy.ts';
import type { KubeObject } from '../../api/meta.ts';
import { schemaOf } from '../../api/schema.ts';
import { celError } from '../../api/structural/cel.ts';
import { fromCel, typesAsMaps } from '../../api/structural/cel-objects.ts';
import type { AdmissionRequest, AdmissionRule } from '../admission/order.ts';
import { overlay } from '../apply/typed.ts';
import { applyJsonPatch } from '../patch/json.ts';
import { valueOf, type Sight } from './conditions.ts';
import type { World } from './matching.ts';
import { concerned, type BoundPolicy } from './policies.ts';
import { operationOf } from './review.ts';
import { restore, rewrite, subjectOf } from './rewrite.ts';

type Bound = BoundPolicy<MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding>;

const type = 'MutatingAdmissionPolicy';

/** MutatingAdmissionPolicy: CEL that changes objects. https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/ */
export function mutatingPolicies(world: World): AdmissionRule {
  return {
    name: type,
    isForeign: true,
    mutate: (request) => {
      if (operationOf(request) === 'DELETE') return undefined;
      const bound = concerned(MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, request, world);
      return bound.length > 0 ? mutateAll(bound, request) : undefined;
    },
  };
}

/** In order; those that ask for it once more when a later one changed the object. True when one changed it. */
async function mutateAll(bound: readonly Bound[], request: AdmissionRequest): Promise<boolean> {
  const first = JSON.stringify(subjectOf(request));
  const seen = new Map<Bound, string>();
  for (const one of bound) {
    await mutateBy(one, request);
    seen.set(one, JSON.stringify(subjectOf(request)));
  }
  const last = JSON.stringify(subjectOf(request));
  for (const [one, after] of seen)
    if (one.policy.spec.reinvocationPolicy === 'IfNeeded' && after !== last) await mutateBy(one, request);
  return JSON.stringify(subjectOf(request)) !== first;
}

/** Every mutation sees what those before it made. */
async function mutateBy(one: Bound, request: AdmissionRequest): Promise<void> {
  const before = structuredClone(subjectOf(request));
  try {
    const { length } = await one.asks();
    for (let i = 0; i < length; i++)
      for (const mutation of one.policy.spec.mutations ?? []) {
        const { object, sight } = (await one.asks())[i]!;
        if (object) await rewrite(request, await mutated(object, mutation, sight, one), one.kind);
      }
  } catch (error) {
    if (!one.isLenient) throw one.denial(type, (error as Error).message, 'Invalid');
    // Half of what a policy does is worse than nothing of it.
    restore(request, before);
  }
}

async function mutated(object: KubeObject, mutation: Mutation, sight: Sight, { kind }: Bound): Promise<KubeObject> {
  if (mutation.patchType === 'JSONPatch') {
    const patch = await evaluated(mutation.jsonPatch?.expression ?? '', sight);
    return applyJsonPatch(object, patch);
  }
  const expression = mutation.applyConfiguration?.expression ?? '';
  const configuration = await evaluated(expression, sight);
  if (typeof configuration !== 'object' || configuration === null || Array.isArray(configuration))
    throw new Error(`expression '${expression}' must evaluate to an Object`);
  return overlay(object, configuration, schemaOf(kind)) as KubeObject;
}

async function evaluated(expression: string, sight: Sight): Promise<unknown> {
  try {
    return fromCel(await valueOf(typesAsMaps(expression), sight));
  } catch (error) {
    throw new Error(`expression '${expression}' resulted in error: ${celError(error)}`, { cause: error });
  }
}
