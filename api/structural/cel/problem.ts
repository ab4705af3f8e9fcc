import type { Environment } from '@marcbachmann/cel-js';

/** An error of the library, of which more is known than its message. */
interface Located extends Error {
  code: string;
  summary: string;
  range?: { start: number; end: number };
  node?: Place;
}

/** A node of the expression's tree. */
interface Place {
  op?: string;
  args?: unknown;
  start: number;
}

/**
 * What is wrong with an expression as kube-apiserver writes it, with the place:
 * `ERROR: <input>:1:1: undeclared reference to 'x' (in container '')`
 */
export function compileProblem(error: Error, expression: string, environment: Environment): string {
  const { code = '', summary = error.message } = error as Partial<Located>;
  const words = wordsOf(error.name === 'ParseError' ? 'parse_error' : code, summary, environment);
  const before = expression.slice(0, placeOf(error as Partial<Located>, expression)).split('\n');
  const line = expression.split('\n')[before.length - 1] ?? '';
  const column = [...before.at(-1)!].length;
  return `ERROR: <input>:${before.length}:${column + 1}: ${words}\n | ${line}\n | ${'.'.repeat(column)}^`;
}

/** Kubernetes points at the operator, the bracket of a call, the dot before a field. */
function placeOf({ range, node }: Partial<Located>, expression: string): number {
  const start = range?.start ?? 0;
  const [first, second] = (Array.isArray(node?.args) ? node.args : []) as { end?: number }[];
  const after = (text: string, from: number | undefined) => Math.max(start, expression.indexOf(text, from ?? start));
  switch (node?.op) {
    case 'call':
      return after('(', start);
    case 'rcall':
      return after('(', second?.end);
    case '.':
      return Math.max(0, expression.lastIndexOf('.', start));
    default:
      return operators.has(node?.op ?? '') ? after(node!.op!, first?.end) : start;
  }
}

const operators = new Set(['==', '!=', '<', '<=', '>', '>=', '+', '-', '*', '/', '%', 'in']);

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
