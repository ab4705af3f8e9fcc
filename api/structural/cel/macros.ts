/** What the library hands to macros, as far as ours use it. */
export interface Node {
  op: string;
  args: unknown;
}

export interface Type {
  kind: string;
  name: string;
  keyType?: Type;
  valueType?: Type;
  toString: () => string;
}

/** The variables that an expression sees. */
export interface Scope {
  forkWithVariable: (name: string, type: Type) => Loop;
}

/** One with a variable of its own. */
interface Loop extends Scope {
  setIterValue: (value: unknown, evaluator: Evaluator) => Loop;
}

type MakeError = (code: string, message: string, node: Node) => Error;

export interface Checker {
  check: (node: Node, scope: Scope) => Type;
  getType: (name: string) => Type;
  registry: {
    getListType: (of: Type) => Type;
    getMapType: (key: Type, value: Type) => Type;
    getOptionalType: (of: Type) => Type;
  };
  createError: MakeError;
}

export interface Evaluator {
  run: (node: Node, scope: Scope) => unknown;
  registry: { getType: (name: string) => Type };
  createError: MakeError;
}

export interface MacroCall {
  ast: Node;
  args: Node[];
  receiver: Node | null;
}

export interface Macro {
  async: false;
  typeCheck: (checker: Checker, macro: Macro, scope: Scope) => Type;
  evaluate: (evaluator: Evaluator, macro: Macro, scope: Scope) => unknown;
}

/** The name of a variable that a macro declares. */
export function nameIn(node: Node): string {
  if (node.op !== 'id') throw new Error('argument must be a simple name');
  return node.args as string;
}
