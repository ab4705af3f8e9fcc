import type { Kind } from '../kind.ts';
import type { ExpressionWarning, ValidatingAdmissionPolicy } from '../kinds/validating-admission-policy.ts';
import { definitions, refOf, schemaOf, type Schema } from '../schema.ts';
import { admissionNames, type CelNames } from './check-cel.ts';
import { compileProblem } from './cel/problem.ts';
import type { Follow } from './cel/schema-types.ts';
import type { StructuralSchema } from './schema.ts';

type Spec = ValidatingAdmissionPolicy['spec'];

const mostKinds = 10;

/**
 * What the types of the objects that a policy is about say against its expressions: those of `kinds` that it names one by one.
 * https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#type-checking
 */
export function typeWarnings(spec: Spec, kinds: readonly Kind[]): ExpressionWarning[] {
  const about = kindsOf(spec, kinds).flatMap((kind) => {
    const schema = schemaOf(kind) as StructuralSchema | undefined;
    return schema ? [{ kind, names: namesOf(spec, schema, kinds) }] : [];
  });
  const warningOf = (expression: string | undefined, fieldRef: string): ExpressionWarning[] => {
    if (!expression) return [];
    const found = about.flatMap(({ kind: { group, version, kind }, names }) => {
      const { valid, error } = names.check(expression);
      return valid ? [] : [`${group}/${version}, Kind=${kind}: ${compileProblem(error as Error, expression, names)}\n`];
    });
    return found.length > 0 ? [{ fieldRef, warning: found.join('\n') }] : [];
  };
  return (spec.validations ?? []).flatMap(({ expression, messageExpression }, i) => [
    ...warningOf(expression, `spec.validations[${i}].expression`),
    ...warningOf(messageExpression, `spec.validations[${i}].messageExpression`),
  ]);
}

/** Rules with a `*` mean too much to be looked at. */
function kindsOf({ matchConstraints }: Spec, kinds: readonly Kind[]): Kind[] {
  const named = (matchConstraints?.resourceRules ?? []).filter(
    ({ apiGroups = [], apiVersions = [] }) => ![...apiGroups, ...apiVersions].some((one) => one.includes('*')),
  );
  const isNamed = ({ group, version, plural }: Kind) =>
    named.some(
      ({ apiGroups = [], apiVersions = [], resources = [] }) =>
        apiGroups.includes(group) && apiVersions.includes(version) && resources.includes(plural),
    );
  const nameOf = ({ group, version, kind }: Kind) => `${group}/${version}/${kind}`;
  return kinds
    .filter(isNamed)
    .sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
    .slice(0, mostKinds);
}

const follow: Follow = (schema) => {
  const name = refOf(schema as Schema);
  return name === undefined ? undefined : { name, schema: definitions[name] as StructuralSchema };
};

function namesOf(spec: Spec, object: StructuralSchema, kinds: readonly Kind[]): CelNames {
  const { paramKind, variables = [], validations = [] } = spec;
  const found = kinds.find(({ apiVersion, kind }) => apiVersion === paramKind?.apiVersion && kind === paramKind.kind);
  const params = found && (schemaOf(found) as StructuralSchema | undefined);
  const all = [
    ...variables,
    ...validations,
    ...validations.map((one) => ({ expression: one.messageExpression ?? '' })),
  ];
  const schemas = { object, params, expressions: all.map(({ expression }) => expression).join('\n'), follow };
  const types: Record<string, string> = {};
  const names = () => admissionNames({ hasParams: paramKind !== undefined, variables: types, schemas });
  for (const { name, expression } of variables) types[name] = names().check(expression).type ?? 'dyn';
  return names();
}
