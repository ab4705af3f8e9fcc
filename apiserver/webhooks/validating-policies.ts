import { ValidatingAdmissionPolicyBinding } from '../../api/kinds/validating-admission-policy-binding.ts';
import { ValidatingAdmissionPolicy } from '../../api/kinds/validating-admission-policy.ts';
import type { Reason } from '../../api/status.ts';
import { celError, celText } from '../../api/structural/cel.ts';
import type { AdmissionRequest, AdmissionRule } from '../admission/order.ts';
import { celOf } from './conditions.ts';
import type { World } from './matching.ts';
import { concerned, type BoundPolicy } from './policies.ts';

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
  for (const one of bound) for (const faults of await faultsOf(one)) tell(one, faults, request);
}

interface Fault {
  message: string;
  reason: Reason;
}

/** What is wrong, for each object that the binding hands to the policy; a fault of the policy itself counts unless it is lenient. */
async function faultsOf(one: Bound): Promise<Fault[][]> {
  try {
    return (await one.asks()).map(({ variables }) => faultsIn(one, variables));
  } catch (error) {
    return one.isLenient ? [] : [[{ message: (error as Error).message, reason: 'Invalid' }]];
  }
}

function faultsIn({ policy, isLenient }: Bound, variables: Record<string, unknown>): Fault[] {
  const faults: Fault[] = [];
  for (const { expression, message, messageExpression, reason } of policy.spec.validations ?? []) {
    try {
      if (celOf(expression)(variables) === true) continue;
    } catch (error) {
      if (!isLenient)
        faults.push({ message: `expression '${expression}' resulted in error: ${celError(error)}`, reason: 'Invalid' });
      continue;
    }
    const made = messageExpression ? celText((given) => celOf(messageExpression)(given), variables) : undefined;
    faults.push({
      message: made ?? message ?? `failed expression: ${expression.trim()}`,
      reason: (reason ?? 'Invalid') as Reason,
    });
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
