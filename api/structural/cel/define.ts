import type { Environment } from '@marcbachmann/cel-js';

/** By signature, as `string.find(string): string`; the receiver comes first. */
type Functions = Record<string, (...given: never[]) => unknown>;

/** Functions of which none waits for anything. */
export function define(environment: Environment, functions: Functions): void {
  for (const [signature, handler] of Object.entries(functions))
    environment.registerFunction(signature, handler, { async: false });
}

/** Functions that are called by a name with a dot, `sets.contains(a, b)`; they are written without the first part. */
export function defineNamespace(environment: Environment, name: string, functions: Functions): void {
  const type = `kubernetes.namespace.${name}`;
  class Namespace {}
  environment.registerType(type, { ctor: Namespace, fields: {} }).registerConstant(name, type, new Namespace());
  define(
    environment,
    Object.fromEntries(
      Object.entries(functions).map(([signature, handler]) => [
        `${type}.${signature}`,
        (_: Namespace, ...given: never[]) => handler(...given),
      ]),
    ),
  );
}

/** A type whose values have nothing but functions. */
export function defineType<T>(
  environment: Environment,
  name: string,
  ctor: new (...given: never[]) => T,
  isEqual?: (a: T, b: T) => boolean,
): void {
  environment.registerType(name, { ctor, fields: {} });
  if (isEqual) environment.registerOperator(`${name} == ${name}`, isEqual);
}
