import type { Environment } from '@marcbachmann/cel-js';
import { bad } from '../field-error.ts';
import type { FieldError } from '../kind.ts';
import { declaring } from './cel.ts';
import { authorizerType } from './cel/authorizer.ts';
import { compileProblem } from './cel/problem.ts';
import { SchemaTypes, type Follow } from './cel/schema-types.ts';
import type { StructuralSchema, ValidationRule } from './schema.ts';

/** What an expression may name, each with its type. */
export type CelNames = Environment;

/**
 * Whether the expression can be read, names only what there is, uses it as what it is, and makes one of the types; `words` say
 * which ones those are.
 */
export function checkCel(
  expression: string,
  field: string,
  names: CelNames,
  makes: readonly string[] = [],
  words = `must evaluate to ${makes[0]}`,
): FieldError[] {
  const { valid, type = '', error } = names.check(expression);
  if (!valid)
    return [bad(field, expression, `compilation failed: ${compileProblem(error as Error, expression, names)}`)];
  const isRight = makes.length === 0 || [...makes, 'dyn'].includes(type.replace(/<.*/s, ''));
  return isRight ? [] : [bad(field, expression, words)];
}

/** What a rule of a schema sees: `self` and `oldSelf`. `isRoot` where the schema is that of whole objects. */
export function ruleNames(schema: StructuralSchema, rule: ValidationRule, isRoot: boolean): CelNames {
  const expressions = `${rule.rule}\n${rule.messageExpression ?? ''}`;
  return declaring((environment) => {
    const type = new SchemaTypes(environment, expressions).declare(schema, 'selfType', isRoot);
    environment.registerVariable('self', type);
    environment.registerVariable('oldSelf', rule.optionalOldSelf ? `optional<${type}>` : type);
  });
}

const resource = { group: 'string', version: 'string', resource: 'string' };
const gvk = { group: 'string', version: 'string', kind: 'string' };
const userInfo = {
  username: 'string',
  uid: 'string',
  groups: 'list<string>',
  extra: 'map<string, list<string>>',
};
/** https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#request, without its objects. */
const request = {
  kind: gvk,
  resource,
  subResource: 'string',
  requestKind: gvk,
  requestResource: resource,
  requestSubResource: 'string',
  name: 'string',
  namespace: 'string',
  operation: 'string',
  userInfo,
  dryRun: 'bool',
  options: 'dyn',
};

const admissionBase = declaring((environment) =>
  environment
    .registerVariable('namespaceObject', 'dyn')
    .registerVariable('request', { schema: request })
    .registerVariable('authorizer', authorizerType),
);

/** What match conditions and policies may name. */
export interface AdmissionNames {
  hasParams?: boolean;
  /** Those of a policy that come before the expression, with their types. */
  variables?: Readonly<Record<string, string>>;
  /** Schemas of the object and of the params, where they are known, and the expressions about them. */
  schemas?: { object: StructuralSchema; params: StructuralSchema | undefined; expressions: string; follow: Follow };
}

export function admissionNames({ hasParams = false, variables, schemas }: AdmissionNames = {}): CelNames {
  const environment = admissionBase.clone();
  const types = new SchemaTypes(environment, schemas?.expressions ?? '', schemas?.follow);
  const typeOf = (name: string, schema: StructuralSchema | undefined) =>
    schema ? types.declare(schema, name, false) : 'dyn';
  const type = typeOf('objectType', schemas?.object);
  environment.registerVariable('object', type).registerVariable('oldObject', type);
  if (hasParams) environment.registerVariable('params', typeOf('paramsType', schemas?.params));
  if (variables)
    environment
      .registerType('kubernetes.variables', { fields: variables })
      .registerVariable('variables', 'kubernetes.variables');
  return environment;
}

/** What selectors of devices see: https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/ */
export const deviceNames: CelNames = declaring((environment) => environment.registerVariable('device', 'dyn'));
