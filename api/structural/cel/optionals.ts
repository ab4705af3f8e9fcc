import { Optional, type Environment } from '@marcbachmann/cel-js';
import { define } from './define.ts';
import { nameIn, type Macro, type MacroCall } from './macros.ts';

/** What the library lacks of https://pkg.go.dev/github.com/google/cel-go/cel#OptionalTypes */
export function optionals(environment: Environment): void {
  define(environment, {
    'OptionalNamespace.ofNonZeroValue(A): optional<A>': (_: unknown, value: unknown) =>
      isZero(value) ? Optional.none() : Optional.of(value),
    'OptionalNamespace.unwrap(list): list': (_: unknown, list: unknown[]) => unwrapped(list),
    'list.unwrapOpt(): list': unwrapped,
    'list.first(): optional<dyn>': (list: unknown[]) => Optional.of(list[0]),
    'list.last(): optional<dyn>': (list: unknown[]) => Optional.of(list.at(-1)),
  });
  environment.registerFunction('optional.optMap(ast, ast): optional<dyn>', (call: MacroCall) => mapped(call, false));
  environment.registerFunction('optional.optFlatMap(ast, ast): optional<dyn>', (call: MacroCall) => mapped(call, true));
}

const unwrapped = (list: unknown[]): unknown[] =>
  list.flatMap((one) => (one instanceof Optional && one.hasValue() ? [one.value()] : []));

function isZero(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return !value;
  if (Array.isArray(value)) return value.length === 0;
  return Object.getPrototypeOf(value) === Object.prototype && Object.keys(value).length === 0;
}

/** `optional.optMap(name, expression)`; of the flat one the expression makes the optional itself. */
function mapped({ args: [name, step], receiver }: MacroCall, isFlat: boolean): Macro {
  const variable = nameIn(name!);
  return {
    async: false,
    typeCheck(checker, _macro, scope) {
      const type = checker.check(receiver!, scope);
      if (type.kind !== 'optional' && type.kind !== 'dyn')
        throw checker.createError('optional_expected', `optMap needs an optional, got '${type.name}'`, receiver!);
      const inner = scope.forkWithVariable(variable, type.valueType ?? checker.getType('dyn'));
      const made = checker.check(step!, inner);
      return isFlat ? made : checker.registry.getOptionalType(made);
    },
    evaluate(evaluator, _macro, scope) {
      const given = evaluator.run(receiver!, scope);
      if (!(given instanceof Optional)) throw evaluator.createError('optional_expected', 'no such overload', receiver!);
      if (!given.hasValue()) return given;
      const inner = scope.forkWithVariable(variable, evaluator.registry.getType('dyn'));
      const made = evaluator.run(step!, inner.setIterValue(given.value(), evaluator));
      return isFlat ? made : Optional.of(made);
    },
  };
}
