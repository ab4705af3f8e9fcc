import { builtinKinds } from '../api/kinds/index.ts';
import { ValidatingAdmissionPolicy } from '../api/kinds/validating-admission-policy.ts';
import { typeWarnings } from '../api/structural/type-warnings.ts';
import { type Reconciler, type World, watching } from '../client/reconcile.ts';

/** Tells in the status of a policy what the types of the objects that it is about say against its expressions. */
export function validatingPolicyStatus({ client, informer }: World): Reconciler {
  const policies = informer(ValidatingAdmissionPolicy);
  return {
    name: 'validating-policy-status',
    watches: [watching(policies)],
    async reconcile(name, signal) {
      const policy = policies.get(name);
      const observedGeneration = policy?.metadata.generation;
      if (!policy || policy.status?.observedGeneration === observedGeneration) return;
      const warnings = typeWarnings(policy.spec, builtinKinds);
      const status = {
        observedGeneration,
        // There, and empty, it says that all is well.
        typeChecking: { expressionWarnings: warnings.length > 0 ? warnings : null },
      };
      await client.patch(ValidatingAdmissionPolicy, { name }, { status }, { subresource: 'status' }, signal);
    },
  };
}
