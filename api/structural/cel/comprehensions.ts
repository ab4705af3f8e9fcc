import type { Environment } from '@marcbachmann/cel-js';
import {
  nameIn,
  type Checker,
  type Evaluator,
  type Macro,
  type MacroCall,
  type Node,
  type Scope,
  type Type,
} from './macros.ts';

/** https://pkg.go.dev/github.com/google/cel-go/ext#TwoVarComprehensions: loops that know index or key beside the value. */
export function comprehensions(environment: Environment): void {
  const define = (signature: string, make: (loop: Loop) => Macro) =>
    environment.registerFunction(signature, (call: MacroCall) => make(new Loop(call)));
  define('list.all(ast, ast, ast): bool', (loop) => quantifier(loop, false));
  define('list.exists(ast, ast, ast): bool', (loop) => quantifier(loop, true));
  define('list.existsOne(ast, ast, ast): bool', existsOne);
  for (const filter of ['', 'ast, ']) {
    define(`list.transformList(ast, ast, ${filter}ast): list<dyn>`, transformList);
    define(`list.transformMap(ast, ast, ${filter}ast): map<dyn, dyn>`, transformMap);
    define(`list.transformMapEntry(ast, ast, ${filter}ast): map<dyn, dyn>`, transformMapEntry);
  }
}

/** `list.loop(key, value, [filter,] step)` */
class Loop {
  readonly #range: Node;
  readonly #names: readonly [key: string, value: string];
  readonly #filter: Node | undefined;
  readonly step: Node;

  constructor({ receiver, args }: MacroCall) {
    this.#range = receiver!;
    this.#names = [nameIn(args[0]!), nameIn(args[1]!)];
    this.step = args.at(-1)!;
    this.#filter = args.length > 3 ? args[2] : undefined;
  }

  /** The types of the keys and of what the step makes. */
  check(checker: Checker, scope: Scope): { key: Type; step: Type } {
    const [key, value] = typesIn(checker, checker.check(this.#range, scope), this.#range);
    const inner = scope.forkWithVariable(this.#names[0], key).forkWithVariable(this.#names[1], value);
    if (this.#filter) mustBe('bool', checker, checker.check(this.#filter, inner), this.#filter);
    return { key, step: checker.check(this.step, inner) };
  }

  /** Every key that the filter lets pass, with the variables of its round. */
  *rounds(evaluator: Evaluator, scope: Scope): Generator<[key: unknown, inner: Scope]> {
    const dyn = evaluator.registry.getType('dyn');
    const outer = scope.forkWithVariable(this.#names[0], dyn);
    const inner = outer.forkWithVariable(this.#names[1], dyn);
    for (const [key, value] of entriesOf(evaluator.run(this.#range, scope))) {
      outer.setIterValue(key, evaluator);
      inner.setIterValue(value, evaluator);
      if (!this.#filter || evaluator.run(this.#filter, inner) === true) yield [key, inner];
    }
  }

  /** What the step makes of every round. */
  made(evaluator: Evaluator, scope: Scope): [key: unknown, value: unknown][] {
    const made: [unknown, unknown][] = [];
    for (const [key, inner] of this.rounds(evaluator, scope)) made.push([key, evaluator.run(this.step, inner)]);
    return made;
  }
}

/** Ends with the first round that decides; an error counts only where none does. */
function quantifier(loop: Loop, decisive: boolean): Macro {
  return {
    async: false,
    typeCheck: (checker, _macro, scope) => mustBe('bool', checker, loop.check(checker, scope).step, loop.step),
    evaluate(evaluator, _macro, scope) {
      let failure: unknown;
      for (const [, inner] of loop.rounds(evaluator, scope))
        try {
          if (evaluator.run(loop.step, inner) === decisive) return decisive;
        } catch (error) {
          failure ??= error;
        }
      if (failure) throw failure as Error;
      return !decisive;
    },
  };
}

const existsOne = (loop: Loop): Macro => ({
  async: false,
  typeCheck: (checker, _macro, scope) => mustBe('bool', checker, loop.check(checker, scope).step, loop.step),
  evaluate: (evaluator, _macro, scope) => loop.made(evaluator, scope).filter(([, held]) => held === true).length === 1,
});

const transformList = (loop: Loop): Macro => ({
  async: false,
  typeCheck: (checker, _macro, scope) => checker.registry.getListType(loop.check(checker, scope).step),
  evaluate: (evaluator, _macro, scope) => loop.made(evaluator, scope).map(([, value]) => value),
});

const transformMap = (loop: Loop): Macro => ({
  async: false,
  typeCheck(checker, _macro, scope) {
    const { key, step } = loop.check(checker, scope);
    return checker.registry.getMapType(key, step);
  },
  evaluate: (evaluator, _macro, scope) => asMap(loop.made(evaluator, scope)),
});

const transformMapEntry = (loop: Loop): Macro => ({
  async: false,
  typeCheck: (checker, _macro, scope) => mustBe('map', checker, loop.check(checker, scope).step, loop.step),
  evaluate(evaluator, _macro, scope) {
    const entries = loop.made(evaluator, scope).flatMap(([, map]) => entriesOf(map));
    const keys = new Set(entries.map(([key]) => key));
    if (keys.size < entries.length) throw new Error('insert failed: key already exists');
    return asMap(entries);
  },
});

function mustBe(kind: 'bool' | 'map', checker: Checker, type: Type, node: Node): Type {
  if (type.kind === 'dyn' || type.kind === kind || type.name === kind) return type;
  throw checker.createError('invalid_predicate', `expected type '${kind}' but found '${type.name}'`, node);
}

function typesIn(checker: Checker, range: Type, node: Node): [key: Type, value: Type] {
  if (range.kind === 'list') return [checker.getType('int'), range.valueType!];
  if (range.kind === 'map') return [range.keyType!, range.valueType!];
  if (range.kind === 'dyn') return [range, range];
  throw checker.createError(
    'invalid_comprehension_range',
    `expression of type '${range.name}' cannot be range of a comprehension (must be list, map, or dynamic)`,
    node,
  );
}

function entriesOf(range: unknown): [key: unknown, value: unknown][] {
  if (Array.isArray(range)) return range.map((item: unknown, i) => [BigInt(i), item]);
  if (range instanceof Map) return [...(range as Map<unknown, unknown>)];
  if (typeof range === 'object' && range !== null) return Object.entries(range);
  throw new Error('no such overload: the range of a comprehension must be a list or a map');
}

/** Keys that are no texts need a Map. */
const asMap = (entries: [unknown, unknown][]): unknown =>
  entries.every(([key]) => typeof key === 'string')
    ? Object.fromEntries(entries as [string, unknown][])
    : new Map(entries);
