import type { Environment } from '@marcbachmann/cel-js';

/** An error of the library, of which more is known than its message. */
interface Located extends Error {
  code: string;
  summary: string;
  range?: { start: number; end: number };
}

/**
 * What is wrong with an expression as kube-apiserver writes it, with the place:
 * `ERROR: <input>:1:1: undeclared reference to 'x' (in container '')`
 */
export function compileProblem(error: Error, expression: string, environment: Environment): string {
  const { code = '', summary = error.message, range } = error as Partial<Located>;
  const words = wordsOf(error.name === 'ParseError' ? 'parse_error' : code, summary, environment);
  const before = expression.slice(0, range?.start ?? 0).split('\n');
  const line = expression.split('\n')[before.length - 1] ?? '';
  const column = [...before.at(-1)!].length;
  return `ERROR: <input>:${before.length}:${column + 1}: ${words}\n | ${line}\n | ${'.'.repeat(column)}^`;
}

function wordsOf(code: string, summary: string, environment: Environment): string {
  switch (code) {
    case 'parse_error':
      return `Syntax error: ${summary}`;
    case 'unknown_variable':
      return `undeclared reference to '${summary.replace('Unknown variable: ', '')}' (in container '')`;
    case 'no_such_key':
      return `undefined field '${summary.replace('No such key: ', '')}'`;
    case 'no_matching_overload': {
      const [, receiver, name = '', given = ''] = /'(?:(.*)\.)?(\w+)\((.*)\)'$/.exec(summary) ?? [];
      if (!isFunction(name, environment)) return `undeclared reference to '${name}' (in container '')`;
      return noOverload(name, receiver === undefined ? `(${given})` : `${receiver}.(${given})`);
    }
    case 'no_such_overload': {
      const [, left, operator, right] = /^no such overload: (.+?) ([=!<>]=|[-+*%/<>]|in) (.+)$/.exec(summary) ?? [];
      if (operator) return noOverload(`_${operator}_`, `(${left}, ${right})`);
      const [, sign = '', operand = ''] = /^no such overload: ([-!])(.+)$/.exec(summary) ?? [];
      return noOverload(`${sign}_`, `(${operand})`);
    }
    default:
      return summary;
  }
}

const noOverload = (name: string, given: string): string =>
  `found no matching overload for '${name}' applied to '${given}'`;

const isFunction = (name: string, environment: Environment): boolean =>
  environment.getDefinitions().functions.some((one) => one.name === name);
