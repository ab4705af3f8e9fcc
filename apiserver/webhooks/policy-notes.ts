import type { ValidatingAdmissionPolicyBinding } from '../../api/kinds/validating-admission-policy-binding.ts';
import type { Policy } from '../../api/policy.ts';
import type { Reason } from '../../api/status.ts';
import type { WriteOptions } from '../call.ts';

/** What a validating policy has against a request. */
export interface Fault {
  message: string;
  reason: Reason;
  /** Of its expression among those of the policy. */
  index: number;
}

const failuresKey = 'validation.policy.admission.k8s.io/validation_failure';
const maxBytes = 10 * 1024;

/**
 * What validating policies tell the audit log of one request.
 * https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#audit-annotations
 */
export class PolicyNotes {
  readonly #values = new Map<string, Set<string>>();
  readonly #failures: object[] = [];

  /** Each value of a key once, however many bindings and parameters make it. */
  add(key: string, value: string): void {
    const text = Buffer.from(value.trim()).subarray(0, maxBytes).toString();
    if (text === '') return;
    const values = this.#values.get(key) ?? new Set();
    this.#values.set(key, values.add(text));
  }

  /** What a binding wants to be audited. */
  failures(by: { policy: Policy; binding: ValidatingAdmissionPolicyBinding }, faults: readonly Fault[]): void {
    const { policy, binding } = by;
    const { validationActions = [] } = binding.spec;
    if (!validationActions.includes('Audit')) return;
    for (const { message, index: expressionIndex } of faults)
      this.#failures.push({
        message,
        policy: policy.metadata.name,
        binding: binding.metadata.name,
        expressionIndex,
        validationActions,
      });
  }

  publish({ annotate }: WriteOptions): void {
    for (const [key, values] of this.#values) annotate?.(key, [...values].join(', '));
    if (this.#failures.length > 0) annotate?.(failuresKey, JSON.stringify(this.#failures));
  }
}
