import type { Environment } from '@marcbachmann/cel-js';
import { RE2JS } from 're2js';
import { define } from './define.ts';
import type { Macro, MacroCall } from './macros.ts';

/** https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-regex-library */
export function regexes(environment: Environment): void {
  define(environment, {
    'string.find(string): string': (text: string, pattern: string) => matchesOf(text, pattern)[0] ?? '',
    'string.findAll(string): list<string>': (text: string, pattern: string) => matchesOf(text, pattern),
    'string.findAll(string, int): list<string>': (text: string, pattern: string, limit: bigint) =>
      matchesOf(text, pattern).slice(0, limit < 0n ? undefined : Number(limit)),
    'matches(string, string): bool': (text: string, pattern: string) => compiled(pattern).matcher(text).find(),
  });
  // The library's own `matches` is JavaScript's, with another syntax and without an end; a macro goes before a function of the
  // same name, and may stand beside it as long as it says it were another receiver's.
  environment.registerFunction('list.matches(ast): bool', matches);
}

/** As the function `matches(text, pattern)`; a pattern that is written out is read at once. */
function matches({ ast, receiver, args: [pattern] }: MacroCall): Macro {
  const written = pattern!.op === 'value' && typeof pattern!.args === 'string' ? compiled(pattern!.args) : undefined;
  return {
    async: false,
    typeCheck(checker, _macro, scope) {
      for (const one of [receiver!, pattern!]) {
        const type = checker.check(one, scope);
        if (type.kind !== 'dyn' && type.name !== 'string')
          throw checker.createError(
            'no_matching_overload',
            `found no matching overload for '${checker.check(receiver!, scope)}.matches(${checker.check(pattern!, scope)})'`,
            ast,
          );
      }
      return checker.getType('bool');
    },
    evaluate(evaluator, _macro, scope) {
      const text = evaluator.run(receiver!, scope);
      const expression = evaluator.run(pattern!, scope);
      if (typeof text !== 'string' || typeof expression !== 'string')
        throw evaluator.createError('no_matching_overload', "found no matching overload for 'matches'", receiver!);
      return (written ?? compiled(expression)).matcher(text).find();
    },
  };
}

function compiled(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    throw new Error(`invalid matches argument: ${(error as Error).message}`, { cause: error });
  }
}

function matchesOf(text: string, pattern: string): string[] {
  const matcher = compiled(pattern).matcher(text);
  const found: string[] = [];
  while (matcher.find()) found.push(matcher.group() ?? '');
  return found;
}
