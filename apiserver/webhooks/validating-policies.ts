import { ValidatingAdmissionPolicyBinding } from '../../api/kinds/validating-admission-policy-binding.ts';
import { ValidatingAdmissionPolicy } from '../../api/kinds/validating-admission-policy.ts';
import type { Reason } from '../../api/status.ts';
import { celError } from '../../api/structural/cel.ts';
import type { AdmissionRequest, AdmissionRule } from '../admission/order.ts';
import { textOf, valueOf, type Sight } from './conditions.ts';
import type { World } from './matching.ts';
import { concerned, type BoundPolicy } from './policies.ts';
import { PolicyNotes, type Fault } from './policy-notes.ts';

type Bound = BoundPolicy<ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding>;

const type = 'ValidatingAdmissionPolicy';

/** ValidatingAdmissionPolicy: CEL instead of a webhook. https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/ */
export function validatingPolicies(world: World): AdmissionRule {
  return {
    name: type,
    validate: (request) => {
      const bound = concerned(ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, request, world);
      return bound.length > 0 ? judge(bound, request) : undefined;
    },
  };
}

async function judge(bound: readonly Bound[], request: AdmissionRequest): Promise<void> {
  const notes = new PolicyNotes();
  const decisions = [];
  for (const one of bound) decisions.push({ one, faults: await faultsOf(one, notes) });
  for (const { one, faults } of decisions) notes.failures(one, faults);
  notes.publish(request.options);
  for (const { one, faults } of decisions) tell(one, faults, request);
}

/** What is wrong with the objects that the binding hands to the policy; a fault of the policy itself counts unless it is lenient. */
async function faultsOf(one: Bound, notes: PolicyNotes): Promise<Fault[]> {
  try {
    const faults: Fault[] = [];
    for (const { sight } of await one.asks())
      faults.push(...(await faultsIn(one, sight)), ...(await notesIn(one, sight, notes)));
    return faults;
  } catch (error) {
    return one.isLenient ? [] : [{ message: (error as Error).message, reason: 'Invalid', index: 0 }];
  }
}

async function faultsIn({ policy, isLenient }: Bound, sight: Sight): Promise<Fault[]> {
  const faults: Fault[] = [];
  for (const [index, validation] of (policy.spec.validations ?? []).entries()) {
    const { expression, message, messageExpression, reason } = validation;
    try {
      if ((await valueOf(expression, sight)) === true) continue;
    } catch (error) {
      const words = `expression '${expression}' resulted in error: ${celError(error)}`;
      if (!isLenient) faults.push({ message: words, reason: 'Invalid', index });
      continue;
    }
    faults.push({
      message: (await textOf(messageExpression, sight)) ?? message ?? `failed expression: ${expression.trim()}`,
      reason: (reason ?? 'Invalid') as Reason,
      index,
    });
  }
  return faults;
}

/** Whether the request may go on or not, the log gets the policy's annotations. */
async function notesIn({ policy, isLenient }: Bound, sight: Sight, notes: PolicyNotes): Promise<Fault[]> {
  const faults: Fault[] = [];
  for (const [index, { key, valueExpression }] of (policy.spec.auditAnnotations ?? []).entries())
    try {
      const value = await valueOf(valueExpression, sight);
      if (typeof value === 'string') notes.add(`${policy.metadata.name}/${key}`, value);
      else if (value !== null) throw new Error('must evaluate to string or null');
    } catch (error) {
      const message = `valueExpression '${valueExpression}' resulted in error: ${celError(error)}`;
      if (!isLenient) faults.push({ message, reason: 'Invalid', index });
    }
  return faults;
}

function tell(one: Bound, faults: readonly Fault[], request: AdmissionRequest): void {
  const actions = one.binding.spec.validationActions ?? [];
  if (actions.includes('Warn'))
    for (const { message } of faults) request.options.warn?.(`Validation failed for ${type} ${one.name}: ${message}`);
  const first = faults[0];
  if (first && actions.includes('Deny')) throw one.denial(type, first.message, first.reason);
}
