import { ValidatingAdmissionPolicyBinding } from '../../api/kinds/validating-admission-policy-binding.ts';
import { ValidatingAdmissionPolicy } from '../../api/kinds/validating-admission-policy.ts';
import type { Reason } from '../../api/status.ts';
import { celError, celText } from '../../api/structural/cel.ts';
import type { AdmissionRequest, AdmissionRule } from '../admission/order.ts';
import { celOf } from './conditions.ts';
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
    const asks = await one.asks();
    return asks.flatMap(({ variables }) => [...faultsIn(one, variables), ...noteIn(one, variables, notes)]);
  } catch (error) {
    return one.isLenient ? [] : [{ message: (error as Error).message, reason: 'Invalid', index: 0 }];
  }
}

function faultsIn({ policy, isLenient }: Bound, variables: Record<string, unknown>): Fault[] {
  const faults: Fault[] = [];
  for (const [index, validation] of (policy.spec.validations ?? []).entries()) {
    const { expression, message, messageExpression, reason } = validation;
    try {
      if (celOf(expression)(variables) === true) continue;
    } catch (error) {
      const words = `expression '${expression}' resulted in error: ${celError(error)}`;
      if (!isLenient) faults.push({ message: words, reason: 'Invalid', index });
      continue;
    }
    const made = messageExpression ? celText((given) => celOf(messageExpression)(given), variables) : undefined;
    faults.push({
      message: made ?? message ?? `failed expression: ${expression.trim()}`,
      reason: (reason ?? 'Invalid') as Reason,
      index,
    });
  }
  return faults;
}

/** Whether the request may go on or not, the log gets the policy's annotations. */
function noteIn({ policy, isLenient }: Bound, variables: Record<string, unknown>, notes: PolicyNotes): Fault[] {
  return (policy.spec.auditAnnotations ?? []).flatMap(({ key, valueExpression }, index) => {
    const fault = (why: string): Fault[] =>
      isLenient
        ? []
        : [{ message: `valueExpression '${valueExpression}' resulted in error: ${why}`, reason: 'Invalid', index }];
    try {
      const value = celOf(valueExpression)(variables);
      if (typeof value === 'string') notes.add(`${policy.metadata.name}/${key}`, value);
      else if (value !== null) return fault('must evaluate to string or null');
      return [];
    } catch (error) {
      return fault(celError(error));
    }
  });
}

function tell(one: Bound, faults: readonly Fault[], request: AdmissionRequest): void {
  const actions = one.binding.spec.validationActions ?? [];
  if (actions.includes('Warn'))
    for (const { message } of faults) request.options.warn?.(`Validation failed for ${type} ${one.name}: ${message}`);
  const first = faults[0];
  if (first && actions.includes('Deny')) throw one.denial(type, first.message, first.reason);
}
