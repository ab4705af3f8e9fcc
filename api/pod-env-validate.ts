import { bad, required } from './field-error.ts';
import type { FieldError } from './kind.ts';
import type { Container, EnvVar } from './kinds/pod.ts';
import { checkConfigKey } from './names.ts';
import { validateEnvField, validateResourceField } from './pod-field-validate.ts';
import { each, mustBeNamed } from './rules.ts';

/** Rules on a container's environment. */
export const validateEnv = ({ env, envFrom }: Container, at: string): FieldError[] => [
  ...each(env, `${at}.env`, validateVariable),
  ...each(envFrom, `${at}.envFrom`, ({ prefix, configMapRef, secretRef }, field) => [
    ...(prefix && !variableName.test(prefix) ? [bad(`${field}.prefix`, prefix, nameRule)] : []),
    ...(configMapRef && !configMapRef.name ? [required(`${field}.configMapRef.name`)] : []),
    ...(secretRef && !secretRef.name ? [required(`${field}.secretRef.name`)] : []),
    ...(configMapRef || secretRef ? [] : [bad(field, '', 'must specify one of: `configMapRef` or `secretRef`')]),
    ...(configMapRef && secretRef ? [bad(field, '', 'may not have more than one field specified at a time')] : []),
  ]),
];

const variableName = /^[ -<>-~]+$/;
const nameRule = "a valid environment variable name must consist only of printable ASCII characters other than '='";

function validateVariable({ name, value, valueFrom }: EnvVar, at: string): FieldError[] {
  if (!name) return [required(`${at}.name`)];
  return [
    ...(variableName.test(name) ? [] : [bad(`${at}.name`, name, nameRule)]),
    ...(valueFrom ? validateSource(valueFrom, value, `${at}.valueFrom`) : []),
  ];
}

function validateSource(from: NonNullable<EnvVar['valueFrom']>, value: string | undefined, at: string): FieldError[] {
  const errors: FieldError[] = [];
  const count = Object.keys(from).length;
  if (count === 0)
    errors.push(
      bad(at, '', 'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`'),
    );
  if (count > 1) errors.push(bad(at, '', 'may not have more than one field specified at a time'));
  if (value) errors.push(bad(at, '', 'may not be specified when `value` is not empty'));
  if (from.fieldRef) errors.push(...validateEnvField(from.fieldRef, `${at}.fieldRef`));
  if (from.resourceFieldRef) errors.push(...validateResourceField(from.resourceFieldRef, `${at}.resourceFieldRef`));
  for (const ref of ['configMapKeyRef', 'secretKeyRef'] as const)
    if (from[ref]) errors.push(...mustBeNamed(from[ref].key, checkConfigKey, `${at}.${ref}.key`));
  return errors;
}
